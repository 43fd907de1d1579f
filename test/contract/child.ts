import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { startProgram } from '../support/processes.ts'

const sourceFolder = new URL('../../src/', import.meta.url)

/** The import specifier of a module under `src/`, for the program of a child. */
export const sourceModule = (path: string): string => JSON.stringify(new URL(path, sourceFolder).href)

/** A Node process that speaks in lines. */
export interface Child {
  /** The next line it writes; rejects where it ends without one. */
  line(): Promise<string>
  say(line: string): void
  /** Kills it as a power cut would, and resolves when it is gone. */
  kill(): Promise<void>
  /** Resolves when it has ended by itself; rejects where it failed. */
  ended(): Promise<void>
}

/** Runs a program, given as the text of an ES module, in a process of its own. */
export function startChild(program: string, ...values: readonly string[]): Child {
  const child = startProgram(process.execPath, ['--input-type=module', '--eval', program, ...values])
  const exit = once(child, 'exit')
  const complaints: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    line: async () => {
      const next = await lines.next()
      if (next.done === true) throw new Error(`the child ended without a word:\n${complaints.join('')}`)
      return next.value
    },
    say: (line) => void child.stdin.write(`${line}\n`),
    kill: async () => {
      child.kill('SIGKILL')
      await exit
    },
    ended: async () => {
      await exit
      if (child.exitCode !== 0) throw new Error(`the child failed:\n${complaints.join('')}`)
    },
  }
}
