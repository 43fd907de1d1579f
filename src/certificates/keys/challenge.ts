import { DomainError } from '../../errors.ts'
import type { Events } from '../../events.ts'
import type { CertificateUse } from '../../api/shapes.ts'
import { equalSecrets, sha256Hex, toBase64 } from '../../pki/encoding.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import { createDecryptionChallenge } from '../../pki/proof/decryption-proof.ts'
import { verifySignatureProof } from '../../pki/proof/signature-proof.ts'
import { proofLabels, proofText, type ProofPurpose } from '../../pki/proof/text.ts'
import { isChangedMeanwhile } from '../../ports/authority.ts'
import type { Database } from '../../ports/database.ts'
import type { Keys, Sha256 } from '../../ports/keys.ts'
import { paying, type Payment } from '../../ports/row-budgets.ts'
import { randomId, type Clock, type Random } from '../../ports/runtime.ts'
import { insertChallenge, readChallenge, useChallenge, type ChallengeRow } from './store.ts'

/** What making and judging challenges needs. */
export interface ChallengeDeps {
  readonly database: Database
  readonly crypto: Crypto
  /** What computes on brainpool curves; null where the runtime has nothing. */
  readonly brainpool: Crypto | null
  readonly keys: Keys
  readonly sha256: Sha256
  readonly random: Random
  readonly clock: Clock
  readonly events: Pick<Events, 'authorityRefused'>
  /** The origin of PUBLIC_URL: a proof made for another service is worth nothing here. */
  readonly origin: string
}

/** A challenge as it goes to the holder of the key. */
export interface Challenge {
  readonly id: string
  readonly challenge:
    | { readonly kind: 'sign'; readonly toBeSigned: string }
    | { readonly kind: 'decrypt'; readonly envelopedData: string }
  readonly expiresAt: number
}

/** To whom and for what a challenge is bound; a report of compromise is bound to its id alone. */
export interface ChallengeBinding {
  readonly purpose: ProofPurpose
  readonly subscriber: string | null
  readonly device: string | null
  readonly mailbox: string | null
  readonly use: CertificateUse | null
}

const spkiPlace = (id: string) => ({ table: 'key_challenges', column: 'spki_sealed', row: id })

/** Policy rule 14: single use, ten minutes. */
const challengeMilliseconds = 10 * 60_000

const textOf = async (deps: ChallengeDeps, id: string, purpose: ProofPurpose, spki: Uint8Array): Promise<Uint8Array> =>
  proofText({
    label: proofLabels[purpose],
    origin: deps.origin,
    challengeId: id,
    spkiSha256: await sha256Hex(deps.crypto, spki),
  })

/** A key that is to decrypt proves that it can; a report is signed where the key is able to. */
const methodFor = (key: KeyFacts, use: CertificateUse | null): 'sign' | 'decrypt' => {
  if (use === null) return key.algorithm === 'X25519' ? 'decrypt' : 'sign'
  return use === 'encrypt' ? 'decrypt' : 'sign'
}

/**
 * Makes and keeps a challenge for a key that has passed the key policy. Throws `key_not_on_this_runtime`, and the
 * refusal of the payment.
 */
export async function challengeKey(
  deps: ChallengeDeps,
  bareKey: { readonly spki: Uint8Array; readonly key: KeyFacts },
  binding: ChallengeBinding,
  payment: Payment,
): Promise<Challenge> {
  const id = randomId(deps.random)
  const text = await textOf(deps, id, binding.purpose, bareKey.spki)
  const method = methodFor(bareKey.key, binding.use)
  const envelope = method === 'decrypt' ? await createDecryptionChallenge(deps.crypto, bareKey.spki, text, deps) : null
  const createdAt = deps.clock()
  const expiresAt = createdAt + challengeMilliseconds
  const challenge = insertChallenge(deps.keys, {
    id,
    ...binding,
    method,
    spkiSealed: deps.keys.main.seal(spkiPlace(id), bareKey.spki),
    expectedSha256: envelope === null ? null : deps.sha256(envelope.expectedProof),
    createdAt,
    expiresAt,
  })
  await paying(payment, (taking) => deps.database.batch([...taking, challenge]))
  return {
    id,
    challenge:
      envelope === null
        ? { kind: 'sign', toBeSigned: toBase64(text) }
        : { kind: 'decrypt', envelopedData: toBase64(envelope.envelopedData) },
    expiresAt,
  }
}

/** A challenge with its key. */
type OpenedChallenge = ChallengeRow & { readonly spki: Uint8Array }

const isProof = async (deps: ChallengeDeps, row: OpenedChallenge, proof: Uint8Array): Promise<boolean> => {
  if (row.method === 'decrypt') {
    return row.expectedSha256 !== null && equalSecrets(row.expectedSha256, deps.sha256(proof))
  }
  const text = await textOf(deps, row.id, row.purpose, row.spki)
  return verifySignatureProof(deps.crypto, row.spki, { text, proof }, deps)
}

const ended = (): DomainError =>
  new DomainError('challenge_ended', 'This challenge was used, has expired, or was never yours: ask for a new one.')

/**
 * Takes the proof of a challenge, which has one try. `belongs` says whether the caller is the one it is bound to.
 * Throws `challenge_ended`, `proof_wrong`.
 */
export async function takeProof(
  deps: ChallengeDeps,
  id: string,
  belongs: (row: ChallengeRow) => boolean,
  proof: Uint8Array,
): Promise<OpenedChallenge> {
  const now = deps.clock()
  const row = await readChallenge(deps, id)
  if (row === null || !belongs(row) || row.usedAt !== null || row.expiresAt <= now) throw ended()
  try {
    await deps.database.batch(useChallenge(deps.keys, row, now))
  } catch (error) {
    // Another try was faster.
    if (isChangedMeanwhile(error)) throw ended()
    throw error
  }
  const opened = { ...row, spki: deps.keys.main.open(spkiPlace(id), row.spkiSealed) }
  if (await isProof(deps, opened, proof)) return opened
  throw new DomainError('proof_wrong', 'The proof does not answer this challenge. Ask for a new one.')
}
