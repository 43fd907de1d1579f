import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { serveNode } from '../../src/node.ts'
import { checkService } from '../support/check-service.ts'
import { temporaryFolder, testConfig } from '../support/node-process.ts'
import { commonTail, faultsOf, killUnderLoad, manyLookups, unloggedLookups, Witness } from './load.ts'
import { answerFirstMutant } from './mutant.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

const reopen = () => serveNode(testConfig(folder.path, manyLookups), { writeLog: () => undefined })

test(
  'ten times SIGKILL under load on one data directory: what was answered is there',
  { timeout: 180_000 },
  async () => {
    const witness = new Witness()
    for (let round = 0; round < 10; round += 1) {
      const service = await killUnderLoad(folder.path, witness, { answers: randomInt(100, 500) })
      expect(service.output()).not.toContain('faults.example')
    }
    const seen = [witness.lookups, witness.subscribers, witness.certified(), witness.published()]
    for (const answered of seen) expect(answered.length).toBeGreaterThan(20)
    const server = await reopen()
    try {
      expect(await faultsOf(server, witness)).toEqual([])
      await server.node.settled()
      await checkService({
        service: server.node.service,
        shards: server.node.journal.shards(),
        keys: server.node.keys,
        answered: witness.lookups,
        addresses: [commonTail],
        dataDir: folder.path,
      })
    } finally {
      await server.stop('the test is over')
    }
  },
)

test(
  'the same check finds out a service that answers before it has written its log',
  { timeout: 180_000 },
  async () => {
    const mutant = await answerFirstMutant()
    try {
      const witness = new Witness()
      const lost: string[] = []
      for (let round = 0; round < 5 && lost.length === 0; round += 1) {
        await killUnderLoad(folder.path, witness, { ...mutant, answers: randomInt(300, 500) })
        const server = await reopen()
        try {
          lost.push(...(await unloggedLookups(server, witness.lookups)))
        } finally {
          await server.stop('the test is over')
        }
      }
      expect(lost).not.toEqual([])
    } finally {
      await mutant.remove()
    }
  },
)
