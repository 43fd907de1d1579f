import { DomainError } from '../errors.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { checkCertificateRequest, readCertificateRequest, type CheckedRequest } from '../pki/certificate-request.ts'
import { ConstraintFailed, GuardBroken } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { AskedCertificate, EnrolmentDeps } from './deps.ts'
import { submitRequest } from './submit.ts'
import { insertRequest, readForeignUse, readLiveRequest, readRequest, type RequestRow } from './store.ts'

/** A request as it stands now, and whether this call made it. */
export interface AnsweredRequest {
  readonly row: RequestRow
  readonly mailbox: OwnMailbox
  readonly created: boolean
}

/**
 * Takes a certificate request: checks it, keeps the intent, has the CA issue, and keeps what comes back. While a
 * request with this key is open, or its certificate valid, the same device gets that one again.
 * Throws the refusals of `checkCertificateRequest` and of `chooseMailbox`, `key_belongs_to_another`,
 * `key_already_used`.
 */
export async function requestCertificate(deps: EnrolmentDeps, asked: AskedCertificate): Promise<AnsweredRequest> {
  const { caller, use } = asked
  const mailbox = await deps.registration.chooseMailbox(caller.subscriberId, asked.mailbox)
  const der = readCertificateRequest(asked.csr)
  const checked = await checkCertificateRequest(deps.crypto, der, parseMailboxAddress(mailbox.address))
  const identity = { spkiSha256: checked.spkiSha256, device: caller.deviceId, mailbox: mailbox.id, use }
  const live = await readLiveRequest(deps.database, identity)
  if (live !== null) return { row: live, mailbox, created: false }
  const id = randomId(deps.random)
  try {
    await keepIntent(deps, asked, id, mailbox, checked)
  } catch (error) {
    const other = await readLiveRequest(deps.database, identity)
    if (error instanceof ConstraintFailed && error.kind === 'unique' && other !== null) {
      return { row: other, mailbox, created: false }
    }
    if (error instanceof GuardBroken) throw await keyRefusal(deps, checked, caller.subscriberId, error)
    throw error
  }
  await submitRequest(deps, id, mailbox, checked)
  const row = await readRequest(deps.database, id)
  if (row === null) throw new Error('a request that was just kept is gone')
  return { row, mailbox, created: true }
}

async function keepIntent(
  deps: EnrolmentDeps,
  asked: AskedCertificate,
  id: string,
  mailbox: OwnMailbox,
  checked: CheckedRequest,
): Promise<void> {
  const { caller, use } = asked
  await deps.database.batch([
    ...insertRequest({
      id,
      subscriber: caller.subscriberId,
      device: caller.deviceId,
      mailbox: mailbox.id,
      use,
      spkiSha256: checked.spkiSha256,
      provedBy: 'csr',
      csrSealed: deps.keys.main.seal({ table: 'certificate_requests', column: 'csr_sealed', row: id }, checked.der),
      createdAt: deps.clock(),
    }),
    ...deps.audit.record({
      action: 'certificate.requested',
      actorKind: 'device',
      actor: caller.deviceId,
      subjectKind: 'certificate request',
      subject: id,
      facts: { use, mailbox: mailbox.id, spkiSha256: checked.spkiSha256 },
    }),
  ])
}

/** Says why the guard broke: the key is another subscriber's, or it has served here before. Policy rule 9. */
async function keyRefusal(
  deps: EnrolmentDeps,
  checked: CheckedRequest,
  subscriber: string,
  cause: GuardBroken,
): Promise<DomainError> {
  const foreign = await readForeignUse(deps.database, checked.spkiSha256, subscriber)
  return foreign === null
    ? new DomainError(
        'key_already_used',
        'This key has served for another device or an ended certificate. Make a new key.',
        {
          cause,
        },
      )
    : new DomainError('key_belongs_to_another', 'This key is certified for somebody else. Make a new key.', { cause })
}
