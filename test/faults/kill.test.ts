import { afterEach, beforeEach, test } from 'vitest'
import { temporaryFolder } from '../support/node-process.ts'
import { expectKillsToLoseNothing } from './kill-drill.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

test('SIGKILL under load: what was answered is there', async () => {
  await expectKillsToLoseNothing(folder.path, { rounds: 2, answers: () => 120, atLeast: 1 })
})
