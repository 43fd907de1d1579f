import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import type { Command, Outcome } from '../ports/database.ts'
import { openSqliteFile, SqliteBatchRunner } from './sqlite.ts'

/**
 * The journal's thread: takes one group of batches at a time, commits it, and only then answers. The main thread
 * collects the next group meanwhile, so that one `fsync` serves all lookups that arrived during the last.
 */

/** From the main thread: one group of batches, or the wish to end. */
export type JournalRequest = { readonly group: readonly (readonly Command[])[] } | { readonly close: true }

/** What became of one batch of a group. */
export type JournalResult =
  | { readonly outcomes: Outcome[] }
  | { readonly failure: { readonly name: string; readonly message: string } }

/** To the main thread: the results in the group's order, or why the whole group was not committed. */
export type JournalAnswer =
  | { readonly ready: true }
  | { readonly results: readonly JournalResult[] }
  | { readonly failed: string }
  | { readonly closed: true }

const { file } = z.object({ file: z.string() }).parse(workerData)
const port = parentPort
if (port === null) throw new Error('the journal runs in a thread of its own')

const connection = openSqliteFile(file)
const runner = new SqliteBatchRunner(connection)

const commit = (group: readonly (readonly Command[])[]): JournalAnswer => {
  try {
    const results = runner
      .group(group)
      .map((result): JournalResult =>
        result instanceof Error
          ? { failure: { name: result.name, message: rootMessage(result) } }
          : { outcomes: result },
      )
    return { results }
  } catch (error) {
    return { failed: error instanceof Error ? rootMessage(error) : 'unknown failure' }
  }
}

/** The engine's own words: the main thread makes the port's error of them again. */
const rootMessage = (error: Error): string => (error.cause instanceof Error ? error.cause.message : error.message)

const send = (answer: JournalAnswer): void => port.postMessage(answer)

port.on('message', (request: JournalRequest) => {
  if ('group' in request) {
    send(commit(request.group))
    return
  }
  connection.pragma('wal_checkpoint(TRUNCATE)')
  connection.close()
  send({ closed: true })
  port.close()
})
send({ ready: true })
