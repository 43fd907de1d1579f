import type { z } from 'zod'
import type { keyChallengeAnswer } from '../api/shapes.ts'
import { fromBase64 } from '../pki/encoding.ts'
import { CertbookError } from './errors.ts'
import { proveByDecrypting, proveBySigning } from './proof.ts'

/** A challenge to the holder of a key, with everything that the proof is bound to. */
export interface KeyChallenge {
  readonly id: string
  /** The origin that this client talks to. */
  readonly origin: string
  /** The client's own key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  readonly challenge: z.output<typeof keyChallengeAnswer>['challenge']
}

/** Answers a challenge with a private key of Web Crypto. Throws ProofError. */
export async function proveWithKey(
  crypto: Crypto,
  { id, origin, spki, challenge }: KeyChallenge,
  { privateKey }: { readonly privateKey: CryptoKey },
): Promise<Uint8Array> {
  const expected = { origin, challengeId: id, spki }
  return challenge.kind === 'sign'
    ? await proveBySigning(crypto, { ...expected, toBeSigned: bytesOf(challenge.toBeSigned) }, privateKey)
    : await proveByDecrypting(crypto, { ...expected, envelopedData: bytesOf(challenge.envelopedData) }, privateKey)
}

function bytesOf(base64: string): Uint8Array {
  const bytes = fromBase64(base64)
  if (bytes === null) throw new CertbookError('answer_malformed', 'The challenge is not base64.')
  return bytes
}
