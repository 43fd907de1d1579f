import type { DeviceCaller } from '../api/room.ts'
import type { Audience, OwnCertificate } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import { presentCertificate } from '../certificates/present.ts'
import { ownCertificateRow } from '../certificates/own.ts'
import { GuardBroken } from '../ports/database.ts'
import type { DirectoryDeps } from './deps.ts'
import { publish, readAudience, readMailboxMoved, withdraw } from './store.ts'

/**
 * Publishes a certificate of the caller for an audience, with the record of the consent. Its mailbox is told, unless it
 * was published for that audience already: a client may say so again and again. Throws `not_found`,
 * `consent_version_not_in_force`, `certificate_not_valid`, `mailbox_moved`.
 */
export async function publishCertificate(
  deps: DirectoryDeps,
  caller: DeviceCaller,
  id: string,
  wish: { consentVersion: string; audience: Audience },
): Promise<OwnCertificate> {
  const row = await ownCertificateRow(deps, caller, id)
  deps.consent.requirePublicationText(wish.consentVersion)
  const by = { subscriber: caller.subscriberId, device: caller.deviceId }
  const { audience } = wish
  const consent = deps.consent.givePublication(by, id, audience)
  const known = (await readAudience(deps.database, id)) === audience
  const about = `${id}/${audience}`
  const announcement = known ? [] : await deps.announce(row, 'new_publication', about, { audience, at: deps.clock() })
  try {
    await deps.database.batch([
      consent.command,
      ...publish({ certificate: id, audience, consent: consent.id, publishedAt: deps.clock() }),
      ...deps.audit.record({
        action: 'certificate.published',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'certificate',
        subject: id,
        facts: { audience, consent: consent.id },
      }),
      ...announcement,
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    if ((await readMailboxMoved(deps.database, id)) !== null) {
      throw new DomainError('mailbox_moved', 'The mailbox is registered elsewhere now: prove it again first.', {
        cause: error,
      })
    }
    throw new DomainError('certificate_not_valid', 'Only a valid certificate can be published: request a new one.', {
      cause: error,
    })
  }
  deps.mail.sendSoon()
  deps.audit.sealSoon()
  deps.events.certificatePublished({ certificate: id, audience })
  return { ...presentCertificate(deps.keys, await deps.chainOf(row.authority), row), published: true }
}

/**
 * Takes a certificate out of the directory, at once; where it was superseded, the one that is published in its place.
 * One that is not there is no fault. Throws `not_found`.
 */
export async function withdrawCertificate(deps: DirectoryDeps, caller: DeviceCaller, id: string): Promise<void> {
  await ownCertificateRow(deps, caller, id)
  try {
    await deps.database.batch([
      ...withdraw(caller.subscriberId, id),
      deps.consent.withdrawPublication({ subscriber: caller.subscriberId, device: caller.deviceId }, id),
      ...deps.audit.record({
        action: 'certificate.withdrawn',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'certificate',
        subject: id,
      }),
    ])
  } catch (error) {
    if (error instanceof GuardBroken) return
    throw error
  }
  deps.audit.sealSoon()
  deps.events.certificateWithdrawn({ certificate: id })
}
