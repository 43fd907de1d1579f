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
import { submitRequest } from './submit.ts'
import { insertRequest, readForeignUse, readLiveRequest, type RequestRow } from './store.ts'

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
 * that one again. Throws `key_belongs_to_another`, `key_already_used`, `key_blocked`.
 */
export async function certifyKey(
  deps: EnrolmentDeps,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  use: CertificateUse,
  proved: ProvedKey,
): Promise<AnsweredRequest> {
  const identity = { spkiSha256: proved.spkiSha256, device: caller.deviceId, mailbox: mailbox.id, use }
  const live = await readLiveRequest(deps.database, identity)
  if (live !== null) return { row: live, mailbox, created: false, certificate: null }
  const row = newRequest(deps, caller, mailbox, use, proved)
  const intent = intentCommands(deps, row)
  try {
    if (deps.ca.keepsNothing) {
      return { ...(await submitRequest(deps, row, mailbox, proved, intent)), mailbox, created: true }
    }
    await deps.database.batch(intent)
  } catch (error) {
    const other = await readLiveRequest(deps.database, identity)
    if (error instanceof ConstraintFailed && error.kind === 'unique' && other !== null) {
      return { row: other, mailbox, created: false, certificate: null }
    }
    if (error instanceof GuardBroken) throw await keyRefusal(deps, proved, caller.subscriberId, error)
    throw error
  }
  return { ...(await submitRequest(deps, row, mailbox, proved)), mailbox, created: true }
}

function newRequest(
  deps: EnrolmentDeps,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  use: CertificateUse,
  proved: ProvedKey,
): RequestRow {
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
    state: 'submitting',
    reason: null,
    createdAt: deps.clock(),
  }
}

const intentCommands = (deps: EnrolmentDeps, row: RequestRow): Command[] => [
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

/** Says why the guard broke: the key is another subscriber's, or it has served here before. Policy rule 9. */
async function keyRefusal(
  deps: EnrolmentDeps,
  proved: ProvedKey,
  subscriber: string,
  cause: GuardBroken,
): Promise<DomainError> {
  await requireNotBlocked(deps, proved)
  const foreign = await readForeignUse(deps.database, proved.spkiSha256, subscriber)
  return foreign === null
    ? new DomainError(
        'key_already_used',
        'This key has served for another device or an ended certificate. Make a new key.',
        { cause },
      )
    : new DomainError('key_belongs_to_another', 'This key is certified for somebody else. Make a new key.', { cause })
}
