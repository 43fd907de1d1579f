import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { readConfig, type Config } from '../../src/config.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** An empty folder of the test's own, and its end. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'certbook-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** The configuration of a service on a free port over a folder. */
export const testConfig = (dataDir: string, settings: Readonly<Record<string, string>> = {}): Config =>
  readConfig({ PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'warn', ...settings }, 'node')

/** A service in a process of its own. */
export interface ServiceProcess {
  readonly url: string
  readonly child: ChildProcess
  /** Everything it wrote to standard output and error so far. */
  output(): string
  /** Sends a signal and resolves with how it ended. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Starts `certbook serve` over a folder; resolves once it says that it has started. */
export async function startProcess(
  dataDir: string,
  options: {
    settings?: Readonly<Record<string, string>>
    command?: readonly string[]
    cwd?: string
  } = {},
): Promise<ServiceProcess> {
  const [program = process.execPath, ...rest] = options.command ?? [process.execPath, cli, 'serve']
  const child = spawn(program, rest, {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], PORT: '0', DATA_DIR: dataDir, ...options.settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  // A test that times out never reaches its own end; the service it started must not outlive the tests.
  const endWithTests = (): boolean => child.kill('SIGKILL')
  process.once('exit', endWithTests)
  child.once('exit', () => process.off('exit', endWithTests))
  const lines: string[] = []
  const ended = once(child, 'exit')
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => lines.push(line))
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line)
      const started = /"event":"started","url":"([^"]+)"/.exec(line)?.[1]
      if (started !== undefined) resolve(started)
    })
    void ended.then(() => reject(new Error(`the service did not start:\n${lines.join('\n')}`)))
  })
  return {
    url,
    child,
    output: () => lines.join('\n'),
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await ended
      return { code: child.exitCode, signal: child.signalCode }
    },
  }
}
