import type { OwnCertificate } from '../api/shapes.ts'
import { equalBytes } from '../pki/encoding.ts'
import { CertbookError } from './errors.ts'
import { judgeCertificate, type Expected } from './judge.ts'

/**
 * Judges a new certificate of this device as certificates of others are judged, and requires that it holds this key:
 * with another key in it, mail to this device would be for somebody else. Skips a certificate that has ended, because
 * nobody uses it. Throws CertbookError `certificate_refused`.
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
