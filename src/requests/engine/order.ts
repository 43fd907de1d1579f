import { parseMailboxAddress } from '../../mailbox/address.ts'
import { keyOfRequest } from '../../pki/certificate-request.ts'
import { checkPublicKey, type KeyFacts } from '../../pki/key-policy.ts'
import type { OwnMailbox } from '../../registration/mailboxes.ts'
import type { CertificateOrder } from '../../cas/adapters/contract.ts'
import type { OpenConnection } from '../../cas/contract.ts'
import { termMilliseconds } from '../../certificates/verify.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { RequestRow } from '../store.ts'

/** Clients whose clocks run slow accept what is new. */
const backdatingMilliseconds = 5 * 60_000

/** A request with all that it takes to speak to its CA about it. */
export interface OpenRequest {
  readonly row: RequestRow
  readonly mailbox: OwnMailbox
  readonly connection: OpenConnection
  readonly order: CertificateOrder
  /** What was issued before is not this request's certificate: when it was first submitted, however long ago. */
  readonly issuedAfter: Date
}

interface OrderedKey {
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly key: KeyFacts
}

/** A request with its order, for a certificate that begins now. */
export function openRequestWith(
  deps: Pick<EnrolmentDeps, 'clock'>,
  row: RequestRow,
  mailbox: OwnMailbox,
  connection: OpenConnection,
  { content, spki, key }: OrderedKey,
): OpenRequest {
  const now = deps.clock()
  const from = (at: number): number => Math.floor((at - backdatingMilliseconds) / 1_000) * 1_000
  const order: CertificateOrder = {
    request: row.id,
    provedBy: row.provedBy,
    content,
    spki,
    key,
    mailbox: parseMailboxAddress(mailbox.address),
    use: row.use,
    notBefore: new Date(from(now)),
    notAfter: new Date(from(now) + termMilliseconds),
    profile: row.caProfile,
  }
  // The clock may have been set back since.
  const issuedAfter = new Date(from(Math.min(row.submittedAt ?? now, now)))
  return { row, mailbox, connection, order, issuedAfter }
}

/** What the device sent, as it is kept. */
export const contentOf = (deps: Pick<EnrolmentDeps, 'keys'>, row: Pick<RequestRow, 'id' | 'csrSealed'>): Uint8Array =>
  deps.keys.main.open({ table: 'certificate_requests', column: 'csr_sealed', row: row.id }, row.csrSealed)

/** Opens a request from what is kept of it, without checking its key again. */
export async function openRequest(
  deps: Pick<EnrolmentDeps, 'clock' | 'keys' | 'registration' | 'connections'>,
  row: RequestRow,
): Promise<OpenRequest> {
  const connection = await deps.connections.open(row.connection)
  if (connection === null) throw new Error('the CA connection of an open request is gone')
  const mailboxes = await deps.registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find(({ id }) => id === row.mailbox)
  if (mailbox === undefined) throw new Error('the mailbox of a request is gone')
  const content = contentOf(deps, row)
  const { spki, key } = row.provedBy === 'csr' ? keyOfRequest(content) : { spki: content, key: checkPublicKey(content) }
  return openRequestWith(deps, row, mailbox, connection, { content, spki, key })
}
