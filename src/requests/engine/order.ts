import type { CertificateOrder } from '../../cas/adapters/contract.ts'
import { embeddedConnection, type OpenConnection } from '../../cas/contract.ts'
import { termMilliseconds } from '../../certificates/verify.ts'
import { parseMailboxAddress } from '../../mailbox/address.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import type { OwnMailbox } from '../../registration/mailboxes.ts'
import type { RequestDeps } from '../deps.ts'
import { keyOf } from '../proved-key.ts'
import { countApprovals, requestAuthority, type RequestRow } from '../store.ts'
import { dayMilliseconds } from '../../ports/time.ts'

/** Clients whose clocks run slow accept what is new. */
const backdatingMilliseconds = 5 * 60_000

/** A request with its mailbox and its CA connection. */
export interface RoutedRow {
  readonly row: RequestRow
  readonly mailbox: OwnMailbox
  readonly connection: OpenConnection
}

/** A request with all that it takes to ask its CA about it. */
export interface OrderedRequest extends RoutedRow {
  readonly order: CertificateOrder
  /** When the request was first submitted. A certificate that was issued before is not this request's. */
  readonly issuedAfter: Date
}

/** An ordered request that a worker has taken. */
export interface HeldRequest extends OrderedRequest {
  readonly claim: string
}

interface OrderedKey {
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly key: KeyFacts
}

/**
 * The order of a request, for a certificate whose term begins now, or with the day (UTC) where the CA inside issues it:
 * who has such a certificate does not know when it was asked for, and so not which row or audit entry is about it.
 */
export function orderOf(
  deps: Pick<RequestDeps, 'clock'>,
  { row, mailbox, connection }: RoutedRow,
  { content, spki, key }: OrderedKey,
): OrderedRequest {
  const now = deps.clock()
  const unit = connection.id === embeddedConnection ? dayMilliseconds : 1_000
  const from = (at: number): number => Math.floor((at - backdatingMilliseconds) / unit) * unit
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

/** What the device sent: its CSR, or its public key. */
export const contentOf = (deps: Pick<RequestDeps, 'keys'>, row: Pick<RequestRow, 'id' | 'csrSealed'>): Uint8Array =>
  deps.keys.main.open({ table: 'certificate_requests', column: 'csr_sealed', row: row.id }, row.csrSealed)

export type OrderDeps = Pick<RequestDeps, 'database' | 'clock' | 'keys' | 'events' | 'registration' | 'connections'>

type TrustDeps = Pick<OrderDeps, 'database' | 'keys' | 'events'>

/** Whether as many administrators have approved a request as its rule wants. What nobody of them said does not count. */
export const isApprovedByPersons = async (deps: TrustDeps, row: RequestRow): Promise<boolean> =>
  row.approvalsNeeded === 0 || (await countApprovals(deps, row.id)) >= row.approvalsNeeded

/** Whether a request is as its device asked for it, and was approved: only then may a CA be asked to issue for it. */
export const mayBeSent = async (deps: TrustDeps, row: RequestRow): Promise<boolean> =>
  requestAuthority.trusted(deps, row) !== null && (await isApprovedByPersons(deps, row))

/** The connection and the mailbox of a request that is kept. Throws where one is gone, or nobody has asked for it. */
export async function readRouted(deps: Omit<OrderDeps, 'clock'>, row: RequestRow): Promise<RoutedRow> {
  const { registration, connections } = deps
  if (requestAuthority.trusted(deps, row) === null) throw new Error('nobody has asked for this request')
  const connection = await connections.open(row.connection)
  if (connection === null) throw new Error('the CA connection of an open request is gone')
  const mailboxes = await registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find(({ id }) => id === row.mailbox)
  if (mailbox === undefined) throw new Error('the mailbox of a request is gone')
  return { row, mailbox, connection }
}

/** Makes the order of a request from what is kept of it. Its key is not checked again. */
export async function readOrder(deps: OrderDeps, row: RequestRow): Promise<OrderedRequest> {
  const content = contentOf(deps, row)
  return orderOf(deps, await readRouted(deps, row), { content, ...keyOf(content, row.provedBy) })
}
