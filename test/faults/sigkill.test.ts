import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { temporaryFolder } from '../support/node-process.ts'
import { expectKillsToLoseNothing, reopen } from './kill-drill.ts'
import { killUnderLoad, unloggedLookups, Witness } from './load.ts'
import { answerFirstMutant } from './mutant.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

test('ten times SIGKILL under load on one data directory: what was answered is there', async () => {
  await expectKillsToLoseNothing(folder.path, { rounds: 10, answers: () => randomInt(100, 500), atLeast: 20 })
})

test('the same check finds out a service that answers before it has written its log', async () => {
  const mutant = await answerFirstMutant()
  try {
    const witness = new Witness()
    const lost: string[] = []
    for (let round = 0; round < 5 && lost.length === 0; round += 1) {
      await killUnderLoad(folder.path, witness, { ...mutant, answers: randomInt(300, 500) })
      const server = await reopen(folder.path)
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
})
