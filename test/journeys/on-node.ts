import { join } from 'node:path'
import { expect } from 'vitest'
import { openNodeService } from '../../src/node.ts'
import { Api, askOver } from '../support/api.ts'
import { checkService, findAddresses } from '../support/check-service.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig } from '../support/node-process.ts'
import type { Travelled } from './whole-story.ts'

/** Makes a journey on Node over a real socket, and looks at what it leaves in DATA_DIR. */
export async function expectSoundOnNode(
  journey: (api: Api, mails: Awaited<ReturnType<typeof watchOutbox>>) => Promise<Travelled>,
): Promise<void> {
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
}
