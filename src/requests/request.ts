import { DomainError } from '../errors.ts'
import type { DeviceCaller } from '../api/room.ts'
import type { CertificateUse } from '../api/shapes.ts'
import { readCertificateRequest } from '../pki/certificate-request.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { AskedCertificate, EnrolmentDeps } from './deps.ts'
import { requireNotBlocked } from '../certificates/keys/blocklist.ts'
import type { Route } from '../cas/contract.ts'
import type { Answered } from './engine/answer.ts'
import { sendability } from './engine/circuit/circuit.ts'
import { leaseMilliseconds } from '../ports/backoff.ts'
import type { Engine } from './engine/engine.ts'
import { openRequestWith } from './engine/order.ts'
import { sendRequest } from './engine/submit.ts'
import { beyondLimits, requestLimits } from './request-limits.ts'
import { checkCsr, type ProvedKey, type RoutedKey } from './proved-key.ts'
import type { OpenedCertificate } from '../certificates/present.ts'
import { awaitProof, provedAfter, remindOfProof } from './waiting/mailbox-proof.ts'
import { readForeignUse, readLiveRequest, readStanding, type RequestRow } from './store.ts'
import { insertRequest, type NewRequest } from './transitions.ts'

/** A request as it stands now, and whether this call made it. */
export interface AnsweredRequest {
  readonly row: RequestRow
  readonly mailbox: OwnMailbox
  readonly created: boolean
  /** The certificate, where this call made it. */
  readonly certificate: OpenedCertificate | null
}

/**
 * Takes a CSR: checks it, keeps the intent, has the CA issue, and keeps what comes back.
 * Throws the refusals of `chooseMailbox`, `checkCsr` and `certifyKey`.
 */
export async function requestCertificate(
  deps: EnrolmentDeps,
  engine: Engine,
  asked: AskedCertificate,
): Promise<AnsweredRequest> {
  const mailbox = await deps.registration.chooseMailbox(asked.caller.subscriberId, asked.mailbox)
  const proved = await checkCsr(deps, readCertificateRequest(asked.csr), mailbox, asked.use)
  return certifyKey(deps, engine, asked.caller, mailbox, asked.use, proved)
}

/**
 * Has a proved key certified. While a request with this key is open, or its certificate valid, the same device gets
 * that one again. Where the mailbox was proved too long ago, the request waits for a new proof, and a token is mailed.
 * Throws `key_belongs_to_another`, `key_already_used`, `key_blocked`, `mailbox_moved`, `mailbox_not_yours`,
 * `not_certified_here`, `too_many_requests`.
 */
export async function certifyKey(
  deps: EnrolmentDeps,
  engine: Engine,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  use: CertificateUse,
  proved: RoutedKey,
): Promise<AnsweredRequest> {
  const identity = { spkiSha256: proved.spkiSha256, device: caller.deviceId, mailbox: mailbox.id, use }
  const isProved = mailbox.verifiedAt > provedAfter(deps.clock())
  const live = await readLiveRequest(deps.database, identity)
  if (live !== null) {
    if (live.state === 'awaiting_mailbox_proof' && !isProved) await remindOfProof(deps, caller, mailbox)
    return { row: live, mailbox, created: false, certificate: null }
  }
  const row = newRequest(deps, caller, mailbox, use, proved, await beginning(deps, engine, proved.route, isProved))
  try {
    return { ...(await begin(deps, engine, caller, row, mailbox, proved)), mailbox, created: true }
  } catch (error) {
    const other = await readLiveRequest(deps.database, identity)
    if (error instanceof ConstraintFailed && error.kind === 'unique' && other !== null) {
      return { row: other, mailbox, created: false, certificate: null }
    }
    if (error instanceof GuardBroken) throw await refusal(deps, proved, row, error)
    throw error
  }
}

/** In which state a request begins: sent at once where it can be, else in the queue of whatever it waits for. */
async function beginning(
  deps: EnrolmentDeps,
  engine: Engine,
  { connection, approvals }: Route,
  isProved: boolean,
): Promise<NewRequest['state']> {
  if (!isProved) return 'awaiting_mailbox_proof'
  if (approvals > 0) return 'awaiting_approval'
  if (connection.adapter.describe().keepsNothing) return connection.state === 'active' ? 'submitting' : 'received'
  const { canSend, waiting, isSuspect } = await sendability(deps, connection.id)
  return canSend && !waiting && engine.hasRoom(connection.id, isSuspect) ? 'submitting' : 'received'
}

/** Keeps a request, and has it sent where it begins with that. */
async function begin(
  deps: EnrolmentDeps,
  engine: Engine,
  caller: DeviceCaller,
  row: RequestRow & NewRequest,
  mailbox: OwnMailbox,
  proved: RoutedKey,
): Promise<Answered> {
  const intent = intentCommands(deps, row)
  const { connection } = proved.route
  if (row.state === 'awaiting_mailbox_proof') {
    await awaitProof(deps, caller, mailbox, intent)
    return { row, certificate: null }
  }
  if (row.claim === null) {
    await deps.database.batch(intent)
    deps.audit.sealSoon()
    if (row.state === 'received') engine.wake(connection.id)
    return { row, certificate: null }
  }
  const request = openRequestWith(deps, row, mailbox, connection, proved)
  if (connection.adapter.describe().keepsNothing) return sendRequest(deps, request, row.claim, intent)
  await deps.database.batch(intent)
  return (await engine.send(request, row.claim)) ?? { row, certificate: null }
}

/** Why a mailbox that has ended gets no certificate. */
export const mailboxEnded = (reason: 'moved' | 'removed', cause?: unknown): DomainError =>
  reason === 'moved'
    ? new DomainError('mailbox_moved', 'The mailbox is registered elsewhere now: prove it again first.', { cause })
    : new DomainError('mailbox_not_yours', 'That mailbox is not proved for you any more.', { cause })

function newRequest(
  deps: EnrolmentDeps,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  use: CertificateUse,
  proved: RoutedKey,
  state: NewRequest['state'],
): RequestRow & NewRequest {
  const id = randomId(deps.random)
  const now = deps.clock()
  const { connection, profile, rule, approvals } = proved.route
  const isSent = state === 'submitting'
  return {
    id,
    subscriber: caller.subscriberId,
    device: caller.deviceId,
    mailbox: mailbox.id,
    use,
    spkiSha256: proved.spkiSha256,
    provedBy: proved.provedBy,
    csrSealed: deps.keys.main.seal({ table: 'certificate_requests', column: 'csr_sealed', row: id }, proved.content),
    state,
    reason: null,
    connection: connection.id,
    caProfile: profile,
    rule: rule?.id ?? null,
    ruleAuthor: rule?.author ?? null,
    approvalsNeeded: approvals,
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

const intentCommands = (deps: EnrolmentDeps, row: NewRequest): Command[] => [
  ...insertRequest(row, requestLimits(row.createdAt)),
  ...deps.audit.record({
    action: 'certificate.requested',
    actorKind: 'device',
    actor: row.device,
    subjectKind: 'certificate request',
    subject: row.id,
    facts: { use: row.use, mailbox: row.mailbox, provedBy: row.provedBy, connection: row.connection, rule: row.rule },
  }),
]

/**
 * Says why the guard broke: mailbox or device has ended just now, too much was asked for, the key is another
 * subscriber's, or it has served here before. Policy rule 9.
 */
async function refusal(
  deps: EnrolmentDeps,
  proved: ProvedKey,
  row: NewRequest,
  cause: GuardBroken,
): Promise<DomainError> {
  const standing = await readStanding(deps.database, row)
  if (standing === null || standing.deviceEndedAt !== null) {
    return new DomainError('credential_invalid', 'The device has ended. Register it again.', { cause })
  }
  if (standing.mailboxEnd !== null) throw mailboxEnded(standing.mailboxEnd, cause)
  if ((await deps.connections.open(row.connection)) === null) {
    return new DomainError('not_certified_here', 'The CA for this mailbox was just removed. Ask again.', { cause })
  }
  const beyond = await beyondLimits(deps, row, cause)
  if (beyond !== null) return beyond
  await requireNotBlocked(deps, proved)
  const foreign = await readForeignUse(deps.database, proved.spkiSha256, row.subscriber)
  return foreign === null
    ? new DomainError(
        'key_already_used',
        'This key has served for another device or an ended certificate. Make a new key.',
        { cause },
      )
    : new DomainError('key_belongs_to_another', 'This key is certified for somebody else. Make a new key.', { cause })
}
