import { expect } from 'vitest'
import { serveNode, type RunningServer } from '../../src/node.ts'
import { checkService } from '../support/check-service.ts'
import { testConfig } from '../support/node-process.ts'
import { commonTail, faultsOf, killUnderLoad, manyLookups, Witness } from './load.ts'

/** Opens a data directory again, as the next start of the service does. */
export const reopen = (dataDir: string): Promise<RunningServer> =>
  serveNode(testConfig(dataDir, manyLookups), { writeLog: () => undefined })

/**
 * Kills the service under load, several times over one data directory, each time after some answers, and expects that
 * what was answered is there. `atLeast`: the last kill waits until the load has had so many answers of each kind.
 */
export async function expectKillsToLoseNothing(
  dataDir: string,
  kills: { readonly rounds: number; readonly answers: () => number; readonly atLeast: number },
): Promise<void> {
  const witness = new Witness()
  const seen = () => [witness.lookups, witness.subscribers, witness.certified(), witness.published()]
  const seenAll = () => seen().every(({ length }) => length >= kills.atLeast)
  for (let round = 1; round <= kills.rounds; round += 1) {
    const enough = () => round < kills.rounds || seenAll()
    const service = await killUnderLoad(dataDir, witness, { answers: kills.answers(), enough })
    expect(service.output()).not.toContain('faults.example')
  }
  for (const answered of seen()) expect(answered.length).toBeGreaterThanOrEqual(kills.atLeast)
  const server = await reopen(dataDir)
  try {
    expect(await faultsOf(server, witness)).toEqual([])
    await server.node.settled()
    await checkService({
      service: server.node.service,
      shards: server.node.journal.shards(),
      keys: server.node.keys,
      answered: witness.lookups,
      addresses: [commonTail],
      dataDir,
    })
  } finally {
    await server.stop('the test is over')
  }
}
