import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { runCommandLine } from '../../src/commands/program.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** How a command ended, and what it said. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

type Settings = Readonly<Record<string, string | undefined>>

const environment = (settings: Settings) => ({ PATH: process.env['PATH'], HOME: process.env['HOME'], ...settings })

/** Runs the command line in a process of its own; `input` is its standard input, `cwd` the folder it starts in. */
export function certbook(args: readonly string[], settings: Settings, input = '', cwd?: string): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: environment(settings), timeout: 60_000, maxBuffer: 2 ** 26, cwd }
    const child = execFile(process.execPath, [cli, ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr })
    })
    child.stdin?.on('error', () => undefined).end(input)
  })
}

/** The same without waiting for the end, for what is to be interrupted. */
export const startCertbook = (args: readonly string[], settings: Settings): ChildProcess =>
  spawn(process.execPath, [cli, ...args], { env: environment(settings), stdio: ['ignore', 'pipe', 'pipe'] })

/**
 * Runs the command line inside this process, for the many cases that need no process of their own; one at a time, as
 * the environment and the exit code are the process's.
 */
export async function certbookHere(args: readonly string[], settings: Settings): Promise<Ended> {
  const { env, exitCode } = process
  const said = { log: '', error: '' }
  const log = vi.spyOn(console, 'log').mockImplementation((line: unknown) => {
    said.log += `${String(line)}\n`
  })
  const error = vi.spyOn(console, 'error').mockImplementation((line: unknown) => {
    said.error += `${String(line)}\n`
  })
  const written = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said.error += String(text)
    return true
  })
  try {
    process.env = environment(settings)
    process.exitCode = 0
    await runCommandLine(args)
    return { code: process.exitCode, stdout: said.log, stderr: said.error }
  } finally {
    process.env = env
    process.exitCode = exitCode
    for (const spy of [log, error, written]) spy.mockRestore()
  }
}
