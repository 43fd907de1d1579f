import { z } from 'zod'
import type { LogDay } from '../ports/lookup-log.ts'
import type { AuditEntryRow } from './store.ts'

/** The digests of the query log's days stand in the audit log, where nobody changes them unseen. */

/** The subject is the day; the facts are its rows and their root. */
export const dayDigested = 'query_log.day_digested'
/** The subject is the first day that is whole. */
export const daysPruned = 'query_log.days_pruned'

const digestFacts = z.object({ rows: z.number(), root: z.string() })

/** Collects the digests from the entries that a verification reads. */
export class DigestsOfDays {
  readonly #digests: LogDay[] = []
  #firstWhole = ''

  add({ action, subject, facts }: AuditEntryRow): void {
    if (action === daysPruned && subject > this.#firstWhole) this.#firstWhole = subject
    if (action !== dayDigested) return
    const read = digestFacts.safeParse(JSON.parse(facts))
    if (read.success) this.#digests.push({ day: subject, ...read.data })
  }

  /** Compares the days with their rows as they are. Days whose time is over are left out. */
  async faults(digestNow: (day: string) => Promise<LogDay>): Promise<string[]> {
    const faults: string[] = []
    for (const { day, rows, root } of this.#digests.filter((digest) => digest.day >= this.#firstWhole)) {
      const now = await digestNow(day)
      if (now.rows !== rows) faults.push(`query log of ${day}: it had ${rows} rows, and has ${now.rows}`)
      else if (now.root !== root) faults.push(`query log of ${day}: a row is not what it was`)
    }
    return faults
  }
}
