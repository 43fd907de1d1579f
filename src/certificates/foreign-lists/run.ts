import { toEachAtOnce } from '../../ports/bounded.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import type { CertificateDeps } from '../deps.ts'
import { leaseMilliseconds, listDelay, retryDelay } from '../../ports/backoff.ts'
import { applyList, type ReadList } from './apply.ts'
import { fetchList } from './fetch.ts'
import { claimList, noteApplied, noteFailed, readDueLists, type DueList } from '../../cas/lists/store.ts'

const perRun = 50
/** Lists may be long, and memory is short on Workers. */
const atOnce = 2

const take = (deps: CertificateDeps, due: DueList): Promise<boolean> =>
  commitUnlessTaken(deps.database, claimList(due, deps.clock() + leaseMilliseconds))

async function fetchAndApply(
  deps: CertificateDeps,
  { connection, url, thisUpdate }: DueList,
): Promise<ReadList | null> {
  const opened = await deps.connections.open(connection)
  if (opened === null) return null
  const fetched = await fetchList(deps.outgoing, url)
  if (fetched.kind === 'failed') return { kind: 'refused', failure: fetched.failure }
  return applyList(deps, opened, fetched.der, thisUpdate)
}

async function note(deps: CertificateDeps, due: DueList, read: ReadList): Promise<void> {
  const { connection, failures } = due
  const now = deps.clock()
  if (read.kind === 'refused') {
    await deps.database.batch([noteFailed(due, read.failure, now + retryDelay(deps.random, failures))])
    deps.events.caListFailed({ connection, failure: read.failure })
    return
  }
  const { thisUpdate, nextUpdate, sha256, revoked } = read
  const isExpired = nextUpdate !== null && nextUpdate < now
  const delay = isExpired
    ? retryDelay(deps.random, failures)
    : listDelay(deps.random, nextUpdate === null ? null : nextUpdate - now)
  const failure = isExpired ? 'list_expired' : null
  const applied = { thisUpdate, nextUpdate, sha256, failure, failures: isExpired ? failures + 1 : 0 }
  await deps.database.batch([noteApplied(due, applied, now, now + delay)])
  deps.events.caListApplied({ connection, revoked })
  if (failure !== null) deps.events.caListFailed({ connection, failure })
}

async function follow(deps: CertificateDeps, due: DueList): Promise<void> {
  if (!(await take(deps, due))) return
  const read = await fetchAndApply(deps, due)
  if (read !== null) await note(deps, due, read)
}

/**
 * Fetches the revocation lists of connected CAs that are due, and applies them; also while a connection is paused, for
 * what a CA has revoked must not stay in the directory. Several processes may do so at once: each takes others.
 */
export async function followForeignLists(deps: CertificateDeps): Promise<void> {
  const due = await readDueLists(deps.database, deps.clock(), perRun)
  await toEachAtOnce(due, atOnce, (list) => follow(deps, list))
}
