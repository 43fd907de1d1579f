import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startServer } from '../support/processes.ts'

const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))
const config = 'test/faults/cut/vitest.config.ts'

test.each(['service', 'worker'])('tests that are killed leave no %s behind', async (what) => {
  const teller = createServer()
  await new Promise<void>((resolve) => teller.listen(0, '127.0.0.1', resolve))
  const tell = `http://127.0.0.1:${(teller.address() as AddressInfo).port}`
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], TELL: tell }
  const tests = startServer(process.execPath, [vitest, 'run', '--config', config, what], { env, mayLeave: true })
  const said: string[] = []
  for (const stream of [tests.stdout, tests.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const early = once(tests, 'exit').then(() => {
    throw new Error(`the tests ended by themselves:\n${said.join('')}`)
  })
  early.catch(() => undefined)
  try {
    const [asked, answer] = (await Promise.race([once(teller, 'request'), early])) as [
      IncomingMessage,
      NodeJS.WritableStream,
    ]
    const url = new URL(await text(asked))
    answer.end()
    expect((await fetch(url)).status).toBe(200)
    tests.kill('SIGKILL')
    const answers = (): Promise<boolean> =>
      fetch(url).then(
        () => true,
        () => false,
      )
    await expect.poll(answers).toBe(false)
  } finally {
    tests.kill('SIGKILL')
    teller.close()
  }
})
