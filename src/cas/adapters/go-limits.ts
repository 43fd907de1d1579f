import { ellipticCurve } from '../../pki/elliptic-curves.ts'
import type { CaOutcome, CertificateOrder } from './contract.ts'

/**
 * Why a CA built on Go's `crypto/x509` cannot fulfil an order. Null if it can. Such an order is never sent: the CA
 * would fail while it signs, and its answer would not make certain that it has not issued.
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
