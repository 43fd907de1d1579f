import { createOutgoingHttps } from '../../src/adapters/outgoing-https.ts'
import { openNodeService } from '../../src/node.ts'
import { testConfig } from '../support/node-process.ts'

/**
 * A worker of the queue over the files of a data directory, beside whoever else is there and without the lock of
 * `serve`, steered by its parent over IPC:
 *
 *     node test/faults/ca-worker.ts <folder>
 *
 * Says `ready`; works when it is told to, and says how many orders it has sent.
 */
const [, , dataDir = ''] = process.argv
const outgoing = createOutgoingHttps()
let sent = 0
const node = await openNodeService(testConfig(dataDir), {
  beside: true,
  leaveMail: true,
  writeLog: () => undefined,
  outgoing: {
    ...outgoing,
    exchange: (request) => {
      if (request.url.endsWith('/sign')) sent += 1
      return outgoing.exchange(request)
    },
  },
})
const resume = node.service.jobs.find(({ name }) => name === 'requests-resume')
if (resume === undefined) throw new Error('there is no job requests-resume')

process.once('message', () => {
  void (async () => {
    await resume.run()
    await node.settled()
    await node.close()
    process.send?.({ sent }, () => process.disconnect())
  })()
})
process.send?.('ready')
