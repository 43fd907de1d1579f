import type { OwnCertificate } from '../api/shapes.ts'
import { equalBytes } from '../pki/encoding.ts'
import { CertbookError } from './errors.ts'
import { judgeCertificate, type Expected } from './judge.ts'

/**
 * Requires of a certificate that came back for a key of this device what is required of those of others, and that it
 * holds this very key: with another in it, mail to this device would be for somebody else. One that has ended is
 * passed, since it is not used. Throws CertbookError `certificate_refused`.
 */
export async function requireOwnCertificate(
  crypto: Crypto,
  answered: OwnCertificate,
  expected: Expected & { readonly spki: Uint8Array },
): Promise<void> {
  if (answered.state !== 'valid') return
  const verdict = await judgeCertificate(crypto, answered, expected)
  if (!verdict.trusted) {
    throw new CertbookError(
      'certificate_refused',
      `The certificate that came back is not to be used: ${verdict.reason}.`,
    )
  }
  if (equalBytes(verdict.certificate.spki, expected.spki)) return
  throw new CertbookError('certificate_refused', 'The certificate that came back is for another key.')
}
