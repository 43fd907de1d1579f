import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { runProgramWell, startServer } from './processes.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))
const wrangler = fileURLToPath(new URL('../../node_modules/wrangler/bin/wrangler.js', import.meta.url))

const environment = (folder: string): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  HOME: folder,
  CI: 'true',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_LOG_PATH: `${folder}/logs`,
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/** The service under `wrangler dev`, its D1 databases in a folder of the test. */
export interface WorkerProcess {
  readonly url: string
  readonly dataKey: Uint8Array
  /** Where getPlatformProxy finds the same databases. */
  readonly persistTo: string
  output(): string
  /** Fires one cron pattern, as Cloudflare would; resolves to the status. */
  fireCron(pattern: string): Promise<number>
  end(): Promise<void>
}

/** `replacing`: the data key that a fresh one replaces, over databases that are there. */
export async function startWorker(
  folder: string,
  mailHookUrl: string,
  replacing: Uint8Array | null = null,
): Promise<WorkerProcess> {
  const persistTo = `${folder}/d1`
  const env = environment(folder)
  for (const database of ['certbook-main', 'certbook-keys', 'certbook-journal-0', 'certbook-journal-1']) {
    const migrate = ['d1', 'migrations', 'apply', database, '--local', '--persist-to', persistTo]
    await runProgramWell(process.execPath, [wrangler, ...migrate], { cwd: project, env })
  }
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const dataKey = new Uint8Array(randomBytes(32))
  const variables = {
    PUBLIC_URL: url,
    PKI_URL: 'http://pki.example.com',
    MAIL_HOOK_URL: mailHookUrl,
    DATA_KEY: Buffer.from(dataKey).toString('base64'),
    ...(replacing === null ? {} : { DATA_KEY_PREVIOUS: Buffer.from(replacing).toString('base64') }),
    ALLOW_LOOPBACK_HTTP: '1',
    LOG_LEVEL: 'debug',
  }
  const child = startServer(
    process.execPath,
    [
      wrangler,
      'dev',
      '--local',
      '--ip',
      '127.0.0.1',
      '--port',
      String(port),
      // Otherwise every request would seem to come to the first host of `routes`.
      '--local-upstream',
      `127.0.0.1:${port}`,
      '--inspector-port',
      '0',
      '--persist-to',
      persistTo,
      '--test-scheduled',
      '--show-interactive-dev-session=false',
      ...Object.entries(variables).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
    ],
    { cwd: project, env },
  )
  const lines: string[] = []
  const ended = once(child, 'exit')
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (/Ready on http/.test(line)) resolve()
      })
    }
    void ended.then(() => reject(new Error(`wrangler dev did not start:\n${lines.join('\n')}`)))
  })
  return {
    url,
    dataKey,
    persistTo: `${persistTo}/v3`,
    output: () => lines.join('\n'),
    fireCron: async (pattern) => {
      const response = await fetch(`${url}/__scheduled?cron=${encodeURIComponent(pattern)}`)
      await response.text()
      return response.status
    },
    end: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await ended
    },
  }
}
