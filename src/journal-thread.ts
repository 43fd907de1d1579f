import { randomInt } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import {
  unpackGroup,
  unpackLookups,
  type CommittedGroup,
  type JournalAnswer,
  type JournalGroup,
  type JournalRequest,
  type MemberFailure,
} from './adapters/journal-messages.ts'
import { DayKeys } from './adapters/day-keys.ts'
import { journalCacheMegabytes, openSqliteFile, SqliteBatchRunner } from './adapters/sqlite.ts'
import { LookupWriter } from './query-log/lookup-writer.ts'
import { CheckInWriter } from './reports/check-in-writer.ts'

/**
 * The journal's thread. It takes one group, commits it, and only then answers. Meanwhile the main thread collects the
 * next group, so one `fsync` serves all that came during the last.
 */

const file: unknown = workerData
const port = parentPort
if (port === null || typeof file !== 'string') throw new Error('the journal runs in a thread of its own')

const connection = openSqliteFile(file, { cacheMegabytes: journalCacheMegabytes })
const runner = new SqliteBatchRunner(connection)
const keys = new DayKeys()
const writing = {
  run: (command: Parameters<typeof runner.run>[0]) => void runner.run(command),
  each: <T>(query: Parameters<typeof runner.each<T>>[0]) => runner.each(query),
  seal: keys.seal.bind(keys),
  index: keys.index.bind(keys),
}
const lookups = new LookupWriter(writing, () => randomInt(2 ** 32))
const checkIns = new CheckInWriter(writing)

/** The engine's message. The main thread turns it into the port's error again. */
const rootMessage = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown failure'
  return error.cause instanceof Error ? error.cause.message : error.message
}

/** One member of the group failed while all ran without savepoints. */
class MemberFailed extends Error {}

/**
 * Runs each member, with or without a savepoint of its own (`apart`). With one, a failure is noted and `undo` is
 * called.
 */
const members = <T>(
  items: readonly T[],
  apart: boolean,
  act: (item: T, index: number) => void,
  undo: (index: number) => void,
): MemberFailure[] => {
  const failures: MemberFailure[] = []
  items.forEach((item, index) => {
    if (!apart) {
      try {
        act(item, index)
      } catch (cause) {
        throw runner.inTransaction ? new MemberFailed('a member failed', { cause }) : cause
      }
      return
    }
    const result = runner.apart(() => act(item, index))
    if (!(result instanceof Error)) return
    undo(index)
    failures.push({ index, message: rootMessage(result) })
  })
  return failures
}

function writeGroup({ at, ...group }: JournalGroup, apart: boolean): CommittedGroup {
  const changes: number[] = []
  const batchFailures: MemberFailure[] = []
  unpackGroup(group.batches).forEach((commands, index) => {
    const result = runner.nested(commands)
    if (result instanceof Error) batchFailures.push({ index, message: rootMessage(result) })
    else for (const outcome of result) changes.push(outcome.changes)
  })
  const spent: { index: number; scopes: readonly number[] }[] = []
  const asked = unpackLookups(group.lookups)
  let mark = lookups.mark()
  const lookupFailures = members(
    asked,
    apart,
    (lookup, index) => {
      mark = lookups.mark()
      const scopes = lookups.write(at, lookup)
      if (scopes.length > 0) spent.push({ index, scopes })
    },
    () => lookups.rollBack(mark),
  )
  const reports = Array.from({ length: group.checkIns.length / 3 }, (_, index) => {
    const [device = '', subscriber = '', facts = ''] = group.checkIns.slice(3 * index, 3 * index + 3)
    return { device, subscriber, facts }
  })
  const checkInFailures = members(
    reports,
    apart,
    (report) => checkIns.write(at, report),
    () => checkIns.rollBack(),
  )
  return { changes, batchFailures, lookupFailures, checkInFailures, spent }
}

/** Writes a group. If the transaction is not committed, the counts in memory are taken back. */
const attempt = (group: JournalGroup, apart: boolean): CommittedGroup => {
  lookups.begin()
  checkIns.begin()
  try {
    return runner.atomically(() => writeGroup(group, apart))
  } catch (error) {
    lookups.rollBack()
    checkIns.rollBack()
    throw error
  }
}

/**
 * Writes without savepoints first, because each costs as much as a row. If a member fails, all are written again, each
 * with its own.
 */
const commit = (group: JournalGroup): JournalAnswer => {
  try {
    try {
      return attempt(group, false)
    } catch (error) {
      if (!(error instanceof MemberFailed)) throw error
      return attempt(group, true)
    }
  } catch (error) {
    return { failed: rootMessage(error) }
  }
}

const faultsAt = (at: number): JournalAnswer => {
  try {
    return { faults: lookups.faults(at) }
  } catch (error) {
    return { faults: [`the log cannot be read: ${rootMessage(error)}`] }
  }
}

const send = (answer: JournalAnswer): void => port.postMessage(answer)

port.on('message', (request: JournalRequest) => {
  if ('group' in request) send(commit(request.group))
  else if ('keys' in request) keys.use(request.keys)
  else if ('faultsAt' in request) send(faultsAt(request.faultsAt))
  else if ('warm' in request) lookups.remember(request.warm)
  else {
    connection.pragma('wal_checkpoint(TRUNCATE)')
    connection.close()
    send({ closed: true })
    port.close()
  }
})
send({ ready: true })
