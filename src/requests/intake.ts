import type { DeviceCaller } from '../api/room.ts'
import type { CertificateUse } from '../api/shapes.ts'
import { commit } from '../audit/commit.ts'
import type { AuditEvent } from '../audit/entries.ts'
import type { Route } from '../cas/contract.ts'
import { readSendability } from '../cas/circuit/circuit.ts'
import { keyIndex } from '../certificates/fingerprints.ts'
import { requireNotBlocked } from '../certificates/keys/blocklist.ts'
import { DomainError } from '../errors.ts'
import { readCertificateRequest } from '../pki/certificate-request.ts'
import { leaseMilliseconds } from '../ports/backoff.ts'
import { ConstraintFailed, GuardBroken } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { RequestDeps } from './deps.ts'
import type { Engine } from './engine/engine.ts'
import { orderOf } from './engine/order.ts'
import type { RequestResult } from './engine/keep.ts'
import { sendRequest, type SendDeps } from './engine/submit.ts'
import { beyondLimits, requestLimits } from './limits.ts'
import { checkCsr, type ProvedKey, type RoutedKey } from './proved-key.ts'
import { readForeignUse, readIsWaiting, readLiveRequest, readEnds, type RequestRow, requestAuthority } from './store.ts'
import { insertRequest, type NewRequest } from './transitions.ts'
import { awaitProof, provedAfter, remindOfProof } from './waiting/mailbox-proof.ts'
import { paidByRequest } from './engine/entries.ts'

/** What a device asks for by its CSR. */
export interface AskedByCsr {
  readonly caller: DeviceCaller
  readonly csr: string | Uint8Array
  readonly use: CertificateUse
  /** The mailbox. May be missing if the subscriber has only one. */
  readonly mailbox: string | undefined
}

/** What a device asks for, with a key that is proved. */
export interface AskedForKey {
  readonly caller: DeviceCaller
  readonly mailbox: OwnMailbox
  readonly use: CertificateUse
  readonly proved: RoutedKey
}

/** A request as it stands now. */
export interface IntakeResult extends RequestResult {
  readonly mailbox: OwnMailbox
  /** Whether this call made the request. */
  readonly created: boolean
}

export type IntakeDeps = SendDeps & Pick<RequestDeps, 'brainpool' | 'connections'>

/**
 * Takes a CSR and asks for a certificate of its key. Throws the refusals of `chooseMailbox`, `checkCsr` and
 * `certifyKey`.
 */
export async function requestCertificate(deps: IntakeDeps, engine: Engine, asked: AskedByCsr): Promise<IntakeResult> {
  const { caller, csr, use } = asked
  const mailbox = await deps.registration.chooseMailbox(caller.subscriberId, asked.mailbox)
  const proved = await checkCsr(deps, readCertificateRequest(csr), { mailbox, use })
  return certifyKey(deps, engine, { caller, mailbox, use, proved })
}

/**
 * Asks for a certificate of a proved key. While a request with this key is open, or its certificate valid, the same
 * device gets the same request again. If the mailbox was proved too long ago, the request waits for a new proof, and a
 * token is mailed. Throws `key_belongs_to_another`, `key_already_used`, `key_blocked`, `mailbox_moved`,
 * `mailbox_not_yours`, `not_certified_here`, `too_many_requests`.
 */
export async function certifyKey(deps: IntakeDeps, engine: Engine, asked: AskedForKey): Promise<IntakeResult> {
  const { caller, mailbox, use, proved } = asked
  const identity = {
    keyIndex: keyIndex(deps.keys, proved.spkiSha256),
    device: caller.deviceId,
    mailbox: mailbox.id,
    use,
  }
  const isProved = mailbox.verifiedAt > provedAfter(deps.clock())
  const repeated = (row: RequestRow): IntakeResult => ({
    row,
    certificate: null,
    refusal: null,
    mailbox,
    created: false,
  })
  const live = await readLiveRequest(deps.database, identity)
  if (live !== null) {
    if (live.state === 'awaiting_mailbox_proof' && !isProved) await remindOfProof(deps, caller, mailbox)
    return repeated(live)
  }
  const row = newRequest(deps, asked, await firstState(deps, engine, proved.route, isProved))
  try {
    return { ...(await keepAndSend(deps, engine, asked, row)), mailbox, created: true }
  } catch (error) {
    const other = await readLiveRequest(deps.database, identity)
    if (error instanceof ConstraintFailed && error.kind === 'unique' && other !== null) return repeated(other)
    if (error instanceof GuardBroken) throw await refusalOf(deps, proved, row, error)
    throw error
  }
}

/** The first state of a request: `submitting` if it can be sent at once, otherwise what it waits for. */
async function firstState(
  deps: Pick<RequestDeps, 'database'>,
  engine: Engine,
  { connection, approvals }: Route,
  isProved: boolean,
): Promise<NewRequest['state']> {
  if (!isProved) return 'awaiting_mailbox_proof'
  if (approvals > 0) return 'awaiting_approval'
  if (connection.adapter.describe().keepsNothing) return connection.state === 'active' ? 'submitting' : 'received'
  const { canSend, isSuspect } = await readSendability(deps, connection.id)
  if (!canSend || !engine.hasRoom(connection.id, isSuspect)) return 'received'
  return (await readIsWaiting(deps.database, connection.id)) === null ? 'submitting' : 'received'
}

/** Stores a request, and sends it if it begins as `submitting`. */
async function keepAndSend(
  deps: IntakeDeps,
  engine: Engine,
  { caller, mailbox, proved }: AskedForKey,
  row: RequestRow & NewRequest,
): Promise<RequestResult> {
  const intent = {
    commands: insertRequest(row, requestLimits(row.createdAt)),
    audit: requestedEntry(row),
    payment: paidByRequest,
  }
  const kept = { row, certificate: null, refusal: null }
  const { connection } = proved.route
  if (row.state === 'awaiting_mailbox_proof') {
    await awaitProof(deps, caller, mailbox, intent)
    return kept
  }
  if (row.claim === null) {
    await commit(deps, intent)
    if (row.state === 'received') engine.wake(connection.id)
    return kept
  }
  const held = { ...orderOf(deps, { row, mailbox, connection }, proved), claim: row.claim }
  if (connection.adapter.describe().keepsNothing) return sendRequest(deps, held, intent)
  await commit(deps, intent)
  return (await engine.send(held)) ?? kept
}

/** The refusal for a mailbox that has ended. */
export const mailboxEnded = (reason: 'moved' | 'removed', cause?: unknown): DomainError =>
  reason === 'moved'
    ? new DomainError('mailbox_moved', 'The mailbox is registered elsewhere now: prove it again first.', { cause })
    : new DomainError('mailbox_not_yours', 'That mailbox is not proved for you any more.', { cause })

function newRequest(
  deps: Pick<RequestDeps, 'keys' | 'random' | 'clock'>,
  { caller, mailbox, use, proved }: AskedForKey,
  state: NewRequest['state'],
): RequestRow & NewRequest {
  const id = randomId(deps.random)
  const now = deps.clock()
  const { connection, profile, rule, approvals } = proved.route
  const isSent = state === 'submitting'
  const asked = {
    id,
    subscriber: caller.subscriberId,
    device: caller.deviceId,
    mailbox: mailbox.id,
    use,
    keyIndex: keyIndex(deps.keys, proved.spkiSha256),
    provedBy: proved.provedBy,
    connection: connection.id,
    caProfile: profile,
    rule: rule?.id ?? null,
    ruleAuthor: rule?.author ?? null,
    approvalsNeeded: approvals,
  }
  return {
    ...asked,
    authorityMac: requestAuthority.of(deps.keys, asked),
    csrSealed: deps.keys.main.seal({ table: 'certificate_requests', column: 'csr_sealed', row: id }, proved.content),
    state,
    reason: null,
    claim: isSent ? randomId(deps.random) : null,
    dueAt: isSent ? now + leaseMilliseconds : state === 'received' ? now : null,
    attempts: 0,
    submittedAt: isSent ? now : null,
    openAtCa: isSent && !connection.adapter.describe().keepsNothing ? 1 : 0,
    waitsFor: null,
    caStateSealed: null,
    explanationSealed: null,
    createdAt: now,
  }
}

const requestedEntry = (row: NewRequest): AuditEvent => ({
  action: 'certificate.requested',
  actorKind: 'device',
  actor: row.device,
  subjectKind: 'certificate request',
  subject: row.id,
  facts: { use: row.use, mailbox: row.mailbox, provedBy: row.provedBy, connection: row.connection, rule: row.rule },
})

/**
 * Why the guard of `insertRequest` broke: the mailbox, the device or the connection has just ended, too much was asked
 * for, or the key is blocked, belongs to another subscriber, or had a certificate before (policy rule 9).
 */
async function refusalOf(
  deps: Pick<RequestDeps, 'database' | 'keys' | 'clock' | 'crypto' | 'connections'>,
  proved: ProvedKey,
  row: NewRequest,
  cause: GuardBroken,
): Promise<DomainError> {
  const ends = await readEnds(deps.database, row)
  if (ends === null || ends.deviceEndedAt !== null) {
    return new DomainError('credential_invalid', 'The device has ended. Register it again.', { cause })
  }
  if (ends.mailboxEnd !== null) return mailboxEnded(ends.mailboxEnd, cause)
  if ((await deps.connections.open(row.connection)) === null) {
    return new DomainError('not_certified_here', 'The CA for this mailbox was just removed. Ask again.', { cause })
  }
  const beyond = await beyondLimits(deps, row, cause)
  if (beyond !== null) return beyond
  await requireNotBlocked(deps, proved)
  const foreign = await readForeignUse(deps.database, row.keyIndex, row.subscriber)
  return foreign === null
    ? new DomainError(
        'key_already_used',
        'This key has served for another device or an ended certificate. Make a new key.',
        { cause },
      )
    : new DomainError('key_belongs_to_another', 'This key is certified for somebody else. Make a new key.', { cause })
}
