import { equalSecrets } from '../pki/encoding.ts'
import type { KeyedHashes, Sha256 } from '../ports/keys.ts'
import { dayMilliseconds } from '../ports/time.ts'

/** What the credentials of devices and administrators have in common. */

/** A credential has expired this long after the beginning of the day of its last use: 180 full days unused. */
export const unusedAllowedMilliseconds = 181 * dayMilliseconds

const encoder = new TextEncoder()

/** SHA-256 of a bearer secret. The secret is 256 random bits, so it needs no salt and no slow hash. */
export const hashSecret = (sha256: Sha256, secret: string): Uint8Array => sha256(encoder.encode(secret))

/** What secrets are of. Each has verifiers of its own, so a row of one kind is worth nothing as another. */
type SecretKind =
  | 'devices.credential'
  | 'administrators.credential'
  | 'registrations.device_secret'
  | 'registrations.token'
  | 'mailbox_challenges.token'

type Verifying = Pick<KeyedHashes, 'verifiers'>
export type Verifiers = ReturnType<KeyedHashes['verifiers']>

/** What tables keep of a secret: nobody who writes to them can make it without the key ring. See `KeyedHashes`. */
export const verifiersOf = (keys: Verifying, kind: SecretKind, secret: string): Verifiers =>
  keys.verifiers(kind, secret)

/** A row that was found by a verifier of a secret. The first of all verifiers is the newest. */
export interface FoundBySecret<Row> {
  readonly row: Row
  readonly verifier: Uint8Array
  readonly verifiers: Verifiers
}

/** Looks for the row of a secret by each of its verifiers, the newest first. */
export async function findBySecret<Row>(
  verifiers: Verifiers,
  read: (verifier: Uint8Array) => Promise<Row | null>,
): Promise<FoundBySecret<Row> | null> {
  for (const verifier of verifiers) {
    const row = await read(verifier)
    if (row !== null) return { row, verifier, verifiers }
  }
  return null
}

/** Whether a stored verifier is of this secret, under any main secret. Null: there is no such row. */
export const isSecretOf = (
  keys: Verifying,
  kind: SecretKind,
  { secret, verifier }: { readonly secret: string; readonly verifier: Uint8Array | null },
): boolean => {
  const possible = verifiersOf(keys, kind, secret)
  return verifier !== null && possible.some((candidate) => equalSecrets(candidate, verifier))
}
