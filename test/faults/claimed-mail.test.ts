import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Api, askOver } from '../support/api.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { deviceFacts, policyVersion } from '../support/story.ts'

/** A mail hook that tells of each mail, and answers what it is told to. */
async function startHook() {
  const ids: string[] = []
  let arrived: (id: string) => void = () => undefined
  let answer: (response: ServerResponse) => void = () => undefined
  const server = createServer((request, response) => {
    const id = String(request.headers['certbook-mail-id'])
    request.resume().once('end', () => {
      ids.push(id)
      answer(response)
      arrived(id)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mail`,
    ids,
    answerWith: (next: typeof answer) => (answer = next),
    /** Resolves to the next mail. */
    next: () => new Promise<string>((resolve) => (arrived = resolve)),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let hook: Awaited<ReturnType<typeof startHook>>
const processes: ServiceProcess[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  hook = await startHook()
})
afterEach(async () => {
  for (const process of processes.splice(0)) await process.end('SIGKILL')
  hook.close()
  await folder.remove()
})

const start = async (): Promise<ServiceProcess> => {
  const process = await startProcess(folder.path, { settings: { MAIL_HOOK_URL: hook.url } })
  processes.push(process)
  return process
}

// The lease of a claim is longer than a test may take.
test('a mail that was on its way at a SIGKILL goes with the next start', async () => {
  const first = await start()
  const claimed = hook.next()
  const registration = { email: 'alice@example.com', accountType: 'imap', policyVersion, device: deviceFacts }
  expect((await new Api(askOver(first.url)).post('/v1/registrations', registration)).status).toBe(202)
  const id = await claimed
  await first.end('SIGKILL')
  hook.answerWith((response) => response.writeHead(204).end())
  const again = hook.next()
  const second = await start()
  expect(await again).toBe(id)
  expect(await second.end('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(hook.ids).toEqual([id, id])
})
