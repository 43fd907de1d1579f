import { createInterface } from 'node:readline/promises'
import { text as wholeText } from 'node:stream/consumers'

/** The exit codes. 0: done. 1: what was asked about is not in order. 2: the command could not ask or act. */
export const exitCodes = { done: 0, notInOrder: 1, failed: 2 } as const

/** A command cannot go on. The message is one sentence and says what to do. */
export class CommandFailed extends Error {
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = exitCodes.failed, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandFailed'
    this.exitCode = exitCode
  }
}

/** The service refused, with one of its stable codes. */
export class Refused extends CommandFailed {
  readonly code: string

  constructor(code: string, detail: string, exitCode: 1 | 2) {
    super(`${detail} (${code})`, exitCode)
    this.name = 'Refused'
    this.code = code
  }
}

/** The option of every command that prints an answer. */
export interface OutputOptions {
  readonly json?: boolean
}

/** The option of commands that take long. */
export interface ProgressOptions extends OutputOptions {
  readonly progress?: boolean
}

/**
 * Characters that a terminal would obey, or that change the direction of text. Names of devices and people may hold
 * anything.
 */
const unprintable = /[^\P{Cc}\n]|\p{Bidi_Control}/gu

const printable = (line: string): string => line.replaceAll(unprintable, '\uFFFD')

/** The code of a system error, such as `ENOENT`. Null for other errors. */
export const systemCode = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null

/**
 * Handles outputs that close early. If a reader such as `head` has gone, the command goes on, and its exit code tells
 * how it ended. If the answer is lost in another way, such as on a full disk, the command says so and ends with 2.
 */
export function watchOutputs(): void {
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error) => {
    if (systemCode(error) === 'EPIPE') return
    hint(`the answer could not be written (${systemCode(error) ?? 'unknown'}); make room and ask again`)
    process.exit(exitCodes.failed)
  })
}

/** Prints a line of the answer. */
export const say = (line: string): void => console.log(printable(line))

/** Prints a line beside the answer, on standard error. */
export const hint = (line: string): void => console.error(printable(line))

/** Prints the answer: as JSON with stable fields, or in words. */
export function answer(options: OutputOptions, value: unknown, words: () => readonly string[]): void {
  if (options.json === true) say(JSON.stringify(value, null, 2))
  else for (const line of words()) say(line)
}

/** Prints one page of a list, in columns with optional headings. Whether there is more is said on standard error. */
export function answerPage<T>(
  options: OutputOptions,
  page: { readonly items: readonly T[]; readonly next: string | null },
  row: (item: T) => readonly string[],
  headings: readonly string[] = [],
): void {
  const above = headings.length === 0 || page.items.length === 0 ? [] : [headings]
  answer(options, page, () => table([...above, ...page.items.map(row)]))
  if (options.json !== true && page.next !== null) hint(`There are more: --cursor ${page.next}`)
}

/** Sets the exit code for a thing that is not in order. */
export function notInOrder(): void {
  process.exitCode = exitCodes.notInOrder
}

/** Rows in columns. Each column is as wide as its widest cell. */
export function table(unsafeRows: readonly (readonly string[])[]): string[] {
  const rows = unsafeRows.map((row) => row.map((cell) => cell.replaceAll('\n', '\uFFFD')))
  const widths: number[] = []
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length)
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Reports the progress of long work in steps of a tenth: on a terminal, or if the option asks for it. */
export function createProgress(options: ProgressOptions): (what: string, part: number) => void {
  if (options.progress !== true && !process.stderr.isTTY) return () => undefined
  const told = new Map<string, number>()
  return (what, part) => {
    const tenth = Math.floor(part * 10)
    if (told.get(what) === tenth) return
    told.set(what, tenth)
    hint(`${what}: ${tenth * 10} %`)
  }
}

/** Reads standard input: one line after a prompt on a terminal, otherwise all lines. Empty lines are left out. */
export async function readLines(prompt: string): Promise<string[]> {
  const lines = process.stdin.isTTY ? [await askAtTerminal(prompt)] : (await wholeText(process.stdin)).split('\n')
  return lines.map((line) => line.trim()).filter((line) => line !== '')
}

async function askAtTerminal(prompt: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await terminal.question(prompt)
  } finally {
    terminal.close()
  }
}
