import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { readConfig, type Config } from '../../src/config.ts'
import { startServer } from './processes.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** An empty folder of the test's own, and its end. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'certbook-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** The configuration of a service on a free port over a folder. */
export const testConfig = (dataDir: string, settings: Readonly<Record<string, string>> = {}): Config =>
  readConfig({ PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'warn', ...settings }, 'node')

const startedEvent = z.object({ url: z.string(), listening: z.array(z.string()) })

/** A service in a process of its own. */
export interface ServiceProcess {
  readonly url: string
  /** The ports that it has bound: PORT, and PKI_PORT where that is set. */
  readonly ports: readonly number[]
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
  const child = startServer(program, rest, {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      PORT: '0',
      DATA_DIR: dataDir,
      ...options.settings,
    },
    cwd: options.cwd,
  })
  const lines: string[] = []
  const ended = once(child, 'exit')
  const { url, listening } = await new Promise<z.output<typeof startedEvent>>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => lines.push(line))
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line)
      if (line.includes('"event":"started"')) resolve(startedEvent.parse(JSON.parse(line)))
    })
    void ended.then(() => reject(new Error(`the service did not start:\n${lines.join('\n')}`)))
  })
  return {
    url,
    ports: listening.map((address) => Number(new URL(address).port)),
    child,
    output: () => lines.join('\n'),
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await ended
      return { code: child.exitCode, signal: child.signalCode }
    },
  }
}
