import { createInterface } from 'node:readline/promises'
import { text as wholeText } from 'node:stream/consumers'

/** How a command ends: 0 done, 1 the thing asked about is not in order, 2 it could not be asked. */
export const exitCodes = { done: 0, notInOrder: 1, failed: 2 } as const

/** A command that cannot go on. The message is one sentence that says what to do. */
export class CommandFailed extends Error {
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = exitCodes.failed, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandFailed'
    this.exitCode = exitCode
  }
}

/** The service refused, by one of its stable codes. */
export class Refused extends CommandFailed {
  readonly code: string

  constructor(code: string, detail: string, exitCode: 1 | 2) {
    super(`${detail} (${code})`, exitCode)
    this.name = 'Refused'
    this.code = code
  }
}

/** What every command that answers takes. */
export interface OutputOptions {
  readonly json?: boolean
}

/** What a long command takes besides. */
export interface ProgressOptions extends OutputOptions {
  readonly progress?: boolean
}

/** What a terminal would obey or turn around: the names of devices and people are whatever somebody sent. */
const unprintable = /[^\P{Cc}\n]|\p{Bidi_Control}/gu

const printable = (line: string): string => line.replaceAll(unprintable, '\uFFFD')

/** The code of a system error, such as `ENOENT`; null for what is none. */
export const systemCode = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null

/**
 * Whoever reads may go before everything is said, as `head` does: the command goes on to its end, which its exit code
 * tells. Where the answer is lost otherwise, as on a full disk, that is said, and the command ends with 2.
 */
export function watchOutputs(): void {
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error) => {
    if (systemCode(error) === 'EPIPE') return
    hint(`the answer could not be written (${systemCode(error) ?? 'unknown'}); make room and ask again`)
    process.exit(exitCodes.failed)
  })
}

/** A line of the answer itself. */
export const say = (line: string): void => console.log(printable(line))

/** A line beside the answer, on standard error. */
export const hint = (line: string): void => console.error(printable(line))

/** Answers as JSON with stable fields, or in words. */
export function answer(options: OutputOptions, value: unknown, words: () => readonly string[]): void {
  if (options.json === true) say(JSON.stringify(value, null, 2))
  else for (const line of words()) say(line)
}

/** Answers with one page of a list, in columns that can have headings; whether there is more is said beside the words. */
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

/** What was asked about is not in order: said by the exit code once the command has ended. */
export function notInOrder(): void {
  process.exitCode = exitCodes.notInOrder
}

/** Rows in columns, each as wide as its widest cell. */
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

/** Tells how far long work has come, on a terminal or where it was asked for: each piece of work in steps of a tenth. */
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

/** Lines of standard input: one, asked for, where a person sits at it; else all of them. Empty lines are left out. */
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
