import { openNodeService } from '../../src/node.ts'
import { Api } from '../support/api.ts'
import { testConfig } from '../support/node-process.ts'
import { outgoingHere } from '../support/this-machine.ts'

/**
 * A worker of the queue over the files of a data directory, beside whoever else is there and without the lock of
 * `serve`, steered by its parent over IPC:
 *
 *     node test/drills/ca-worker.ts <folder>
 *
 * Says `ready`; when it is told to, works until nothing waits any more, and says how many certificates it got.
 */
const [, , dataDir = ''] = process.argv
const outgoing = outgoingHere()
const decoder = new TextDecoder()
let got = 0
const node = await openNodeService(testConfig(dataDir), {
  beside: true,
  writeLog: () => undefined,
  outgoing: {
    ...outgoing,
    exchange: async (request) => {
      const answer = await outgoing.exchange(request)
      // `sign` and `authsign`
      if (request.url.endsWith('sign') && decoder.decode(answer.body).includes('BEGIN CERTIFICATE')) got += 1
      return answer
    },
  },
})
const resume = node.service.jobs.find(({ name }) => name === 'requests-resume')
if (resume === undefined) throw new Error('there is no job requests-resume')
const run = (): Promise<void> => resume.run()

const api = new Api(async (path, init) =>
  node.service.fetch(new Request(`http://127.0.0.1${path}`, init), {
    peer: '127.0.0.1',
    encrypted: false,
    pkiOnly: false,
  }),
).with(node.service.administration.localOperator())

const isWaiting = async (): Promise<boolean> =>
  (await api.get('/v1/admin/certificate-requests?state=received&limit=1')).body.items.length > 0

async function work(): Promise<void> {
  do {
    await run()
    await node.settled()
  } while (await isWaiting())
  await node.close()
  process.send?.({ got }, () => process.disconnect())
}

process.once('message', () => void work())
process.send?.('ready')
