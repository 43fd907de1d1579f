import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { unpackGroup, type JournalAnswer, type JournalRequest, type PackedGroup } from './journal-messages.ts'
import { openSqliteFile, SqliteBatchRunner } from './sqlite.ts'

/**
 * The journal's thread: takes one group of batches at a time, commits it, and only then answers. The main thread
 * collects the next group meanwhile, so that one `fsync` serves all lookups that arrived during the last.
 */

const { file } = z.object({ file: z.string() }).parse(workerData)
const port = parentPort
if (port === null) throw new Error('the journal runs in a thread of its own')

const connection = openSqliteFile(file)
const runner = new SqliteBatchRunner(connection)

const commit = (group: PackedGroup): JournalAnswer => {
  try {
    const changes: number[] = []
    const failures: { batch: number; message: string }[] = []
    runner.group(unpackGroup(group)).forEach((result, batch) => {
      if (result instanceof Error) failures.push({ batch, message: rootMessage(result) })
      else for (const outcome of result) changes.push(outcome.changes)
    })
    return { changes, failures }
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
