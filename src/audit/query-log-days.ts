import type { LogDay } from '../ports/lookup-log.ts'
import { commit, type CommitDeps } from './commit.ts'
import { byService, type OwnEvent } from './entries.ts'
import { dayDigested, daysPruned } from './day-digests.ts'
import { readEntriesOfSubject } from './store.ts'

const entryOf = (action: string, day: string, facts: OwnEvent['facts'] = {}): OwnEvent => ({
  ...byService,
  action,
  subjectKind: 'query log day',
  subject: day,
  facts,
})

export interface QueryLogDays {
  wasDigested(day: string): Promise<boolean>
  digested(digest: LogDay): Promise<void>
  /** Days before this one may lack rows, because their time is over. */
  pruned(firstWhole: string): Promise<void>
}

export const createQueryLogDays = (deps: CommitDeps): QueryLogDays => ({
  wasDigested: async (day) => {
    const before = { at: Number.MAX_SAFE_INTEGER, position: 0 }
    const of = { action: dayDigested, subject: day, actor: null, from: 0, before, limit: 1 }
    return (await readEntriesOfSubject(deps.database, of)).length > 0
  },
  digested: async ({ day, rows, root }) => {
    await commit(deps, { commands: [], audit: entryOf(dayDigested, day, { rows, root }) })
  },
  pruned: async (firstWhole) => {
    await commit(deps, { commands: [], audit: entryOf(daysPruned, firstWhole) })
  },
})
