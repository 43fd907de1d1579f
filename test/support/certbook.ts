import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { runCommandLine } from '../../src/commands/program.ts'
import { runProgram, startServer } from './processes.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** How a command ended, and what it said. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

type Settings = Readonly<Record<string, string | undefined>>

const environment = (settings: Settings) => ({
  PATH: process.env['PATH'],
  HOME: process.env['HOME'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  ...settings,
})

/** Runs the command line in a process of its own; `input` is its standard input, `cwd` the folder it starts in. */
export async function certbook(args: readonly string[], settings: Settings, input = '', cwd?: string): Promise<Ended> {
  const ended = await runProgram(process.execPath, [cli, ...args], { env: environment(settings), input, cwd })
  return { ...ended, code: ended.code ?? -1 }
}

/** The same without waiting for the end, for what is to be interrupted. */
export const startCertbook = (args: readonly string[], settings: Settings): ChildProcess =>
  startServer(process.execPath, [cli, ...args], { env: environment(settings) })

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
