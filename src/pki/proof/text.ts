/** What a proof is for: to certify one's own key, or to report a compromised key. */
export type ProofPurpose = 'possession' | 'compromise'

export type ProofLabel = 'certbook-pop-v1' | 'certbook-compromise-v1'

/** The labels separate the two purposes. A proof for one does not work for the other. */
export const proofLabels: Readonly<Record<ProofPurpose, ProofLabel>> = {
  possession: 'certbook-pop-v1',
  compromise: 'certbook-compromise-v1',
}

/** The parts of a proof's text. The proof is bound to them. */
export interface ProofTextParts {
  readonly label: ProofLabel
  /** The origin of `PUBLIC_URL`, as `URL.origin` writes it: without a slash at the end. */
  readonly origin: string
  readonly challengeId: string
  /** SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hexadecimal. */
  readonly spkiSha256: string
}

const originForm = /^https?:\/\/[a-z0-9.\-[\]:]+$/
const challengeIdForm = /^[A-Za-z0-9_-]{1,64}$/
const sha256Form = /^[0-9a-f]{64}$/

const encoder = new TextEncoder()

/**
 * The text T of policy rule 14. A key signs or answers for nothing else. Each part stands on its own line. A part that
 * could hold a line feed or a document is refused: otherwise whoever names the challenge could choose what is signed.
 * Throws RangeError.
 */
export function proofText({ label, origin, challengeId, spkiSha256 }: ProofTextParts): Uint8Array<ArrayBuffer> {
  if (!originForm.test(origin)) throw new RangeError('The origin is a scheme, a host and perhaps a port.')
  if (!challengeIdForm.test(challengeId)) throw new RangeError('The challenge id is no id of this service.')
  if (!sha256Form.test(spkiSha256)) throw new RangeError('The hash of the key is 64 lower-case hexadecimal digits.')
  return encoder.encode(`${label}\n${origin}\n${challengeId}\n${spkiSha256}\n`)
}
