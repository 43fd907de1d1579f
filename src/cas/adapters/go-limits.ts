import { ellipticCurve } from '../../pki/elliptic-curves.ts'
import type { CaOutcome, CertificateOrder } from './contract.ts'

/**
 * Why an order cannot be fulfilled by a CA that builds on Go's `crypto/x509`, and so is never sent to one; null where it
 * can. Such a CA finds out while it signs, and then says nothing by which it could be known for certain that it has not.
 */
export function refusedByGo({
  provedBy,
  key,
  mailbox,
}: CertificateOrder): Extract<CaOutcome, { kind: 'permanent' }> | null {
  if (provedBy !== 'csr') return refused('request_refused', 'it certifies certificate requests only')
  if (mailbox.kind !== 'ascii') {
    return refused('request_refused', 'it has no SmtpUTF8Mailbox, for an address with a local part beyond ASCII')
  }
  if (key.algorithm === 'EC' && ellipticCurve(key.curve).brainpool) {
    return refused('key_refused', 'it knows no brainpool curves')
  }
  return null
}

const refused = (
  failure: 'request_refused' | 'key_refused',
  why: string,
): Extract<CaOutcome, { kind: 'permanent' }> => ({ kind: 'permanent', failure, caSaid: `not sent to the CA: ${why}` })
