import { toEach } from '../../ports/bounded.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import type { CertificateDeps } from '../deps.ts'
import { openFacts, type StoredFacts } from '../present.ts'
import { readRemindersDue, readRenewable, takeReminder, type DueReminder } from './store.ts'
import { dayMilliseconds, dayOf } from '../../ports/time.ts'

/** No certificate is to be renewed longer before its end than this. */
const earliestReminderMilliseconds = 30 * dayMilliseconds

type Term = Pick<StoredFacts, 'notBefore' | 'notAfter'>

/** When the holder of a certificate is told first that it runs out: at a third of its term, 30 days before the end at most. */
export const firstReminder = ({ notBefore, notAfter }: Term): number =>
  notAfter - Math.min(Math.floor((notAfter - notBefore) / 3), earliestReminderMilliseconds)

/** When for the second and last time: at a twelfth, 7 days before the end at most. */
const lastReminder = ({ notBefore, notAfter }: Term): number =>
  notAfter - Math.min(Math.floor((notAfter - notBefore) / 12), 7 * dayMilliseconds)

/** How many holders one run tells. The next run goes on. */
const perRun = 500

/** Certificates of one device, by id, the first to expire first. `renewNow` are those of `renew` that run out soon. */
export interface DueRenewals {
  readonly renew: string[]
  readonly renewNow: string[]
  /** Until when (UTC milliseconds) this stays so, unless the device's certificates change. */
  readonly until: number
}

/** Which of a device's certificates are to be renewed: from a third of their term on, and urgently from a twelfth on. */
export async function certificatesToRenew(
  deps: Pick<CertificateDeps, 'database' | 'keys' | 'clock'>,
  device: string,
): Promise<DueRenewals> {
  const now = deps.clock()
  const valid = (await readRenewable(deps.database, device, now))
    .map((row) => ({ id: row.id, ...openFacts(deps.keys, row) }))
    .filter(({ notAfter }) => notAfter > now)
    .toSorted((a, b) => a.notAfter - b.notAfter)
  const dueFrom = (begins: typeof firstReminder): string[] =>
    valid.filter((certificate) => begins(certificate) <= now).map(({ id }) => id)
  const turns = valid.flatMap((certificate) => [
    firstReminder(certificate),
    lastReminder(certificate),
    certificate.notAfter,
  ])
  return {
    renew: dueFrom(firstReminder),
    renewNow: dueFrom(lastReminder),
    until: Math.min(Number.MAX_SAFE_INTEGER, ...turns.filter((turn) => turn > now)),
  }
}

type RemindDeps = Pick<CertificateDeps, 'database' | 'keys' | 'clock' | 'audit' | 'mail' | 'registration'>

/**
 * Tells one holder by mail, in the batch that takes the reminder. Where both reminders are due, that is one mail. False
 * where another worker was faster, the certificate has ended, or it is due later today.
 */
async function remind(deps: RemindDeps, due: DueReminder): Promise<boolean> {
  const now = deps.clock()
  const { id, use } = due
  const facts = openFacts(deps.keys, due)
  const { notAfter } = facts
  const last = lastReminder(facts)
  if (now >= notAfter || now < (due.reminded === 1 ? last : firstReminder(facts))) return false
  const which = now < last ? 'third' : 'twelfth'
  const parameters = { use, which, at: now, notAfter } as const
  return commitUnlessTaken(deps.database, [
    ...takeReminder(due, which === 'third' ? dayOf(last) : null),
    ...(await deps.registration.announcementCommands(due, 'running_out', `${id}/${which}`, parameters)),
    ...deps.audit.record({
      action: 'certificate.running_out',
      actorKind: 'service',
      actor: null,
      subjectKind: 'certificate',
      subject: id,
      facts: { left: which },
    }),
  ])
}

/** Tells the holders of certificates that run out, twice at most for each certificate. */
export async function remindHolders(deps: RemindDeps): Promise<void> {
  let told = false
  try {
    await toEach(await readRemindersDue(deps.database, deps.clock(), perRun), async (due) => {
      if (await remind(deps, due)) told = true
    })
  } finally {
    if (told) {
      deps.mail.sendSoon()
      deps.audit.sealSoon()
    }
  }
}
