import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'

/**
 * A shell that outlives the tests by a moment. It reads `+ 12` and `- 12`; once the pipe to the tests closes, however
 * they ended, it kills what is still on its list: processes, or process groups by their negative number.
 */
const guardScript = `
list=
while read -r sign id; do
  if [ "$sign" = + ]; then list="$list $id"; continue; fi
  rest=
  for one in $list; do [ "$one" = "$id" ] || rest="$rest $one"; done
  list=$rest
done
for one in $list; do kill -s KILL -- "$one"; done 2>&-
`

let guard: ChildProcess | null = null

function tellGuard(line: string): void {
  if (guard === null) {
    // A group of its own: what ends the group of the tests must not end it first.
    guard = spawn('/bin/sh', ['-c', guardScript], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    guard.unref()
    // Of Node's own making, with the `unref` that its type does not tell.
    if (guard.stdin instanceof Socket) guard.stdin.unref()
  }
  guard.stdin?.write(`${line}\n`)
}

/**
 * Has a process end with the tests, also where they are cut off and never reach their own end. A negative number is a
 * process group. Returns what takes it off the list again, for when it has ended.
 */
export function endWithTests(id: number): () => void {
  tellGuard(`+ ${id}`)
  return () => tellGuard(`- ${id}`)
}

/** The children of this process that run a program, for what a library has started. */
export async function childrenCalled(program: string): Promise<number[]> {
  const { stdout } = await runProgramWell('ps', ['-A', '-o', 'pid=,ppid=,comm='])
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, command = ''] = line.trim().split(/\s+/)
    return Number(parent) === process.pid && command.endsWith(program) ? [Number(pid)] : []
  })
}

/** Sends a signal to a process or, by a negative number, to a group. False where there is none any more. */
export function signalTo(id: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(id, signal)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
    throw error
  }
}

interface Where {
  readonly cwd?: string | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
}

/**
 * Starts a program in a process group of its own that ends with the tests. What it leaves behind in its group when it
 * ends is killed, unless `mayLeave` says that the test looks at that itself.
 */
export function startProgram(
  program: string,
  args: readonly string[],
  { mayLeave = false, ...where }: Where & { readonly mayLeave?: boolean } = {},
): ChildProcessWithoutNullStreams {
  const child = spawn(program, args, { ...where, detached: true, stdio: 'pipe' })
  // A program that ends before it has read everything is no fault of the test's.
  child.stdin.on('error', () => undefined)
  const { pid } = child
  // Without one it did not start, which the child says by itself.
  if (pid === undefined) return child
  const release = endWithTests(-pid)
  child.once('exit', () => {
    if (!mayLeave) signalTo(-pid, 'SIGKILL')
    release()
  })
  return child
}

/** Starts a program that runs until it is ended, and reads nothing. */
export function startServer(...starting: Parameters<typeof startProgram>): ChildProcessWithoutNullStreams {
  const child = startProgram(...starting)
  child.stdin.end()
  return child
}

/** How a program ended, and what it wrote. `code` is null where a signal ended it. */
export interface ProgramEnd {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, well or not. Rejects where it cannot be started. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { input = '', ...where }: Where & { readonly input?: string; readonly mayLeave?: boolean } = {},
): Promise<ProgramEnd> {
  const child = startProgram(program, args, where)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.end(input)
  await once(child, 'close')
  const said = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString()
  return { code: child.exitCode, stdout: said(stdout), stderr: said(stderr) }
}

/** The same for a program that must end well. */
export async function runProgramWell(...running: Parameters<typeof runProgram>): Promise<ProgramEnd> {
  const ended = await runProgram(...running)
  if (ended.code === 0) return ended
  throw new Error(`${[running[0], ...running[1]].join(' ')} ended with ${ended.code}:\n${ended.stdout}${ended.stderr}`)
}
