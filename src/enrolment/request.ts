import { DomainError } from '../errors.ts'
import type { DeviceCaller } from '../api/room.ts'
import type { CertificateUse } from '../api/shapes.ts'
import { readCertificateRequest } from '../pki/certificate-request.ts'
import { ConstraintFailed, GuardBroken } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { AskedCertificate, EnrolmentDeps } from './deps.ts'
import { requireNotBlocked } from './keys/blocklist.ts'
import { checkCsr, type ProvedKey } from './proved-key.ts'
import { submitRequest } from './submit.ts'
import { insertRequest, readForeignUse, readLiveRequest, readRequest, type RequestRow } from './store.ts'

/** A request as it stands now, and whether this call made it. */
export interface AnsweredRequest {
  readonly row: RequestRow
  readonly mailbox: OwnMailbox
  readonly created: boolean
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
  if (live !== null) return { row: live, mailbox, created: false }
  const id = randomId(deps.random)
  try {
    await keepIntent(deps, caller, id, mailbox, use, proved)
  } catch (error) {
    const other = await readLiveRequest(deps.database, identity)
    if (error instanceof ConstraintFailed && error.kind === 'unique' && other !== null) {
      return { row: other, mailbox, created: false }
    }
    if (error instanceof GuardBroken) throw await keyRefusal(deps, proved, caller.subscriberId, error)
    throw error
  }
  await submitRequest(deps, id, mailbox, proved)
  const row = await readRequest(deps.database, id)
  if (row === null) throw new Error('a request that was just kept is gone')
  return { row, mailbox, created: true }
}

async function keepIntent(
  deps: EnrolmentDeps,
  caller: DeviceCaller,
  id: string,
  mailbox: OwnMailbox,
  use: CertificateUse,
  proved: ProvedKey,
): Promise<void> {
  await deps.database.batch([
    ...insertRequest({
      id,
      subscriber: caller.subscriberId,
      device: caller.deviceId,
      mailbox: mailbox.id,
      use,
      spkiSha256: proved.spkiSha256,
      provedBy: proved.provedBy,
      csrSealed: deps.keys.main.seal({ table: 'certificate_requests', column: 'csr_sealed', row: id }, proved.content),
      createdAt: deps.clock(),
    }),
    ...deps.audit.record({
      action: 'certificate.requested',
      actorKind: 'device',
      actor: caller.deviceId,
      subjectKind: 'certificate request',
      subject: id,
      facts: { use, mailbox: mailbox.id, spkiSha256: proved.spkiSha256, provedBy: proved.provedBy },
    }),
  ])
}

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
