import { sha256Hex } from '../../src/pki/encoding.ts'
import { parseRequest, verifyRequest, type RequestRules } from '../../src/pki/certificate-request.ts'
import type { MailboxAddress } from '../../src/mailbox/address.ts'

export type CheckedRequest = Awaited<ReturnType<typeof checkCertificateRequest>>

/** A request as intake checks it: read, then verified. */
export async function checkCertificateRequest(
  crypto: Crypto,
  der: Uint8Array,
  mailbox: MailboxAddress,
  rules: RequestRules = {},
) {
  const request = parseRequest(der)
  await verifyRequest(crypto, request, mailbox, rules)
  const { spki, key } = request
  return { der, spki, spkiSha256: await sha256Hex(crypto, spki), key }
}
