import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openNodeService } from '../../src/node.ts'
import { Api, askOver } from '../support/api.ts'
import { checkService, findAddresses, formsOf } from '../support/check-service.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig } from '../support/node-process.ts'
import { travelRealRegistrations } from './real-registrations.ts'
import { travel, type Travelled } from './whole-story.ts'

test.each([
  ['the whole story', travel],
  ['real registrations', travelRealRegistrations],
] as const)('%s on Node over a real socket, and what it leaves in DATA_DIR', async (_, journey) => {
  const folder = await temporaryFolder()
  const dataDir = join(folder.path, 'data')
  const service = await startProcess(dataDir, { settings: { LOG_LEVEL: 'debug' } })
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  try {
    const travelled: Travelled = await journey(new Api(askOver(service.url)), mails)
    expect(await findAddresses(dataDir, travelled.addresses), 'while the service runs').toEqual([])
    expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
    for (const address of travelled.addresses) expect(service.output()).not.toContain(address)

    const opened = await openNodeService(testConfig(dataDir))
    try {
      const { service: reopened, journal, keys } = opened
      await checkService({ service: reopened, shards: [journal], keys, ...travelled, dataDir })
    } finally {
      await opened.close()
    }
  } finally {
    mails.close()
    await service.end('SIGKILL')
    await folder.remove()
  }
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
