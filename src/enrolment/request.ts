import { DomainError } from '../errors.ts'
import type { DeviceCaller } from '../api/room.ts'
import type { CertificateUse } from '../api/shapes.ts'
import { readCertificateRequest } from '../pki/certificate-request.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { AskedCertificate, EnrolmentDeps } from './deps.ts'
import { requireNotBlocked } from './keys/blocklist.ts'
import { checkCsr, type ProvedKey } from './proved-key.ts'
import type { OpenedCertificate } from './present.ts'
import { awaitProof, provedAfter, remindOfProof } from './waiting/mailbox-proof.ts'
import { submitRequest } from './submit.ts'
import {
  insertRequest,
  readForeignUse,
  readLiveRequest,
  readStanding,
  type NewRequest,
  type RequestRow,
} from './store.ts'

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
export async function requestCertificate(deps: EnrolmentDeps, asked: AskedCertificate): Promise<AnsweredRequest> {
  const mailbox = await deps.registration.chooseMailbox(asked.caller.subscriberId, asked.mailbox)
  const proved = await checkCsr(deps, readCertificateRequest(asked.csr), mailbox, asked.use)
  return certifyKey(deps, asked.caller, mailbox, asked.use, proved)
}

/**
 * Has a proved key certified. While a request with this key is open, or its certificate valid, the same device gets
 * that one again. Where the mailbox was proved too long ago, the request waits for a new proof, and a token is mailed.
 * Throws `key_belongs_to_another`, `key_already_used`, `key_blocked`, `mailbox_moved`, `mailbox_not_yours`,
 * `too_many_requests`.
 */
export async function certifyKey(
  deps: EnrolmentDeps,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  use: CertificateUse,
  proved: ProvedKey,
): Promise<AnsweredRequest> {
  const identity = { spkiSha256: proved.spkiSha256, device: caller.deviceId, mailbox: mailbox.id, use }
  const isProved = mailbox.verifiedAt > provedAfter(deps.clock())
  const live = await readLiveRequest(deps.database, identity)
  if (live !== null) {
    if (live.state === 'awaiting_mailbox_proof' && !isProved) await remindOfProof(deps, caller, mailbox)
    return { row: live, mailbox, created: false, certificate: null }
  }
  const row = newRequest(deps, caller, mailbox, use, proved, isProved ? 'submitting' : 'awaiting_mailbox_proof')
  const intent = intentCommands(deps, row)
  try {
    if (!isProved) {
      await awaitProof(deps, caller, mailbox, intent)
      return { row, mailbox, created: true, certificate: null }
    }
    if (deps.ca.keepsNothing) {
      return { ...(await submitRequest(deps, row, mailbox, proved, intent)), mailbox, created: true }
    }
    await deps.database.batch(intent)
  } catch (error) {
    const other = await readLiveRequest(deps.database, identity)
    if (error instanceof ConstraintFailed && error.kind === 'unique' && other !== null) {
      return { row: other, mailbox, created: false, certificate: null }
    }
    if (error instanceof GuardBroken) throw await refusal(deps, proved, row, error)
    throw error
  }
  return { ...(await submitRequest(deps, row, mailbox, proved)), mailbox, created: true }
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
  proved: ProvedKey,
  state: NewRequest['state'],
): RequestRow & NewRequest {
  const id = randomId(deps.random)
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
    createdAt: deps.clock(),
  }
}

const intentCommands = (deps: EnrolmentDeps, row: NewRequest): Command[] => [
  ...insertRequest(row),
  ...deps.audit.record({
    action: 'certificate.requested',
    actorKind: 'device',
    actor: row.device,
    subjectKind: 'certificate request',
    subject: row.id,
    facts: { use: row.use, mailbox: row.mailbox, provedBy: row.provedBy },
  }),
]

/**
 * Says why the guard broke: mailbox or device has ended just now, the key is another subscriber's, or it has served
 * here before. Policy rule 9.
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
