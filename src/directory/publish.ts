import type { DeviceCaller } from '../api/room.ts'
import type { Audience, OwnCertificate } from '../api/shapes.ts'
import { commit } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import { openFacts, presentCertificate } from '../certificates/present.ts'
import { ownCertificateRow } from '../certificates/own.ts'
import type { CertificateRow } from '../certificates/store.ts'
import { toHex } from '../pki/encoding.ts'
import type { DirectoryDeps } from './deps.ts'
import type { ReadyAnswers } from './ready-answers.ts'
import { publish, readStandingPublication, readMailboxMoved, readPublishedAddress, withdraw } from './store.ts'
import { paidWith } from '../ports/row-budgets.ts'
import { payForAct } from '../registration/act-budget.ts'

type PublishDeps = Pick<
  DirectoryDeps,
  | 'database'
  | 'keys'
  | 'clock'
  | 'events'
  | 'audit'
  | 'consent'
  | 'mail'
  | 'announcementCommands'
  | 'mailboxesOf'
  | 'chainOf'
> & { readonly ready: Pick<ReadyAnswers, 'rewrite' | 'rewriteSoon'> }

/** Says why a certificate cannot be published. */
async function refuse(deps: Pick<PublishDeps, 'database'>, id: string, cause?: Error): Promise<never> {
  if ((await readMailboxMoved(deps.database, id)) !== null) {
    const detail = 'The mailbox is registered elsewhere now: prove it again first.'
    throw new DomainError('mailbox_moved', detail, { cause })
  }
  const detail = 'Only a valid certificate can be published: request a new one.'
  throw new DomainError('certificate_not_valid', detail, { cause })
}

/** Makes the ready answer of the address before the publisher is told. If that fails, the job does it later. */
async function prepareAnswer(deps: Pick<PublishDeps, 'database' | 'ready'>, id: string): Promise<void> {
  const published = await readPublishedAddress(deps.database, id)
  if (published !== null) await deps.ready.rewrite([toHex(published.addressIndex)])
}

/**
 * Publishes a certificate of the caller for an audience, and records the consent. Tells the mailbox, unless the
 * certificate was already published for that audience. A repeat with the same consent leaves nothing. Throws `not_found`,
 * `consent_version_not_in_force`, `certificate_not_valid`, `mailbox_moved`, `too_many_requests`.
 */
export async function publishCertificate(
  deps: PublishDeps,
  caller: DeviceCaller,
  id: string,
  wish: { consentVersion: string; audience: Audience },
): Promise<OwnCertificate> {
  const row = await ownCertificateRow(deps, caller, id)
  deps.consent.requirePublicationText(wish.consentVersion)
  if (openFacts(deps.keys, row).notAfter <= deps.clock()) return refuse(deps, id)
  const published = await readStandingPublication(deps, id, deps.clock())
  const known = published?.audience === wish.audience
  const isRepeat = known && published.textVersion === wish.consentVersion
  if (!isRepeat) await keepPublication(deps, caller, row, { known, ...wish })
  await prepareAnswer(deps, id)
  return { ...presentCertificate(deps.keys, await deps.chainOf(row.authority), row), published: true }
}

/** `known`: it is published for that audience already, by an older text. */
async function keepPublication(
  deps: PublishDeps,
  caller: DeviceCaller,
  row: CertificateRow,
  { known, audience }: { readonly known: boolean; readonly audience: Audience },
): Promise<void> {
  const { id } = row
  const mailbox = (await deps.mailboxesOf(caller.subscriberId)).find((own) => own.id === row.mailbox)
  if (mailbox === undefined) return refuse(deps, id)
  const by = { subscriber: caller.subscriberId, device: caller.deviceId }
  const consent = deps.consent.givePublication(by, id, audience)
  const about = `${id}/${audience}`
  const announcement = known
    ? []
    : await deps.announcementCommands(row, 'new_publication', about, { audience, at: deps.clock() })
  const audit = {
    action: 'certificate.published',
    actorKind: 'device',
    actor: caller.deviceId,
    subjectKind: 'certificate',
    subject: id,
    facts: { audience, consent: consent.id },
  } as const
  const publication = publish(deps.keys, {
    certificate: id,
    addressIndex: mailbox.addressIndex,
    audience,
    consent: consent.id,
    publishedAt: deps.clock(),
  })
  const payment = payForAct(deps.clock, caller.subscriberId)
  await commit(deps, { commands: [consent.command, ...publication, ...announcement], audit, payment }, (guard) =>
    refuse(deps, id, guard),
  )
  deps.mail.sendSoon()
  deps.events.certificatePublished({ certificate: id, audience })
}

/**
 * Withdraws a certificate from the directory, at once. If it was superseded, its successor is withdrawn. One that is
 * not published is no error. Throws `not_found`.
 */
export async function withdrawCertificate(deps: PublishDeps, caller: DeviceCaller, id: string): Promise<void> {
  await ownCertificateRow(deps, caller, id)
  const by = { subscriber: caller.subscriberId, device: caller.deviceId }
  const commands = [...withdraw(caller.subscriberId, id), deps.consent.withdrawPublication(by, id)]
  const audit = {
    action: 'certificate.withdrawn',
    actorKind: 'device',
    actor: caller.deviceId,
    subjectKind: 'certificate',
    subject: id,
  } as const
  // Paid for by its publication, so that withdrawing is always possible.
  const payment = paidWith('act')
  if ((await commit(deps, { commands, audit, payment }, () => null)) === null) return
  deps.ready.rewriteSoon()
  deps.events.certificateWithdrawn({ certificate: id })
}
