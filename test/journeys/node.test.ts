import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findAddresses, formsOf } from '../support/check-service.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { expectSoundOnNode } from './on-node.ts'
import { travel } from './whole-story.ts'

test('the whole story on Node over a real socket, and what it leaves in DATA_DIR', async () => {
  await expectSoundOnNode(travel)
})

test('the scan for clear addresses finds one that is planted, in each form', async () => {
  const folder = await temporaryFolder()
  const address = 'planted.address@bücher.example'
  const forms = formsOf(address)
  expect(forms.length).toBeGreaterThan(10)
  for (const [index, { bytes }] of forms.entries()) {
    await writeFile(
      join(folder.path, `file-${index}`),
      Buffer.concat([Buffer.from('before '), bytes, Buffer.from(' after')]),
    )
  }
  const found = await findAddresses(folder.path, [address])
  for (const index of forms.keys()) expect(found.some((line) => line.startsWith(`file-${index} `))).toBe(true)
  await folder.remove()
})
