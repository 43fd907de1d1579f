import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * `npm test`: the checks beside the tests, as one leaves cores idle where the other waits. All of them run, whichever
 * fails. What the checks say comes last, where it is read. The words behind the command are for vitest.
 */

interface Ended {
  readonly passed: boolean
  readonly output: string
}

const memory = '/dev/shm'
const roomNeeded = 2 ** 31

/** How long what was started may take to end after a signal. */
const patienceMilliseconds = 5_000

/**
 * The folder that Linux keeps in memory, where there is enough of it. What a test asks of a database does not depend on
 * the disk, as no test cuts the power.
 */
const temporaryRoot = (): string => {
  try {
    const { bavail, bsize } = statfsSync(memory)
    return bavail * bsize > roomNeeded ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

/** All temporary folders of this run are in this one. So nothing stays, however the run ends. */
const folder = mkdtempSync(join(temporaryRoot(), 'certbook-test-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))

const children = new Set<ChildProcess>()
let cutBy: NodeJS.Signals | null = null

const run = (command: string, words: readonly string[], options: SpawnOptions): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, words, options)
    children.add(child)
    const output: string[] = []
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part) => output.push(String(part)))
    child.once('error', reject)
    child.once('close', (code) => {
      children.delete(child)
      resolve({ passed: code === 0, output: output.join('') })
    })
  })

/**
 * Ends what runs, and at last the hard way. The folder is removed when all have ended. A signal to the whole group comes
 * twice, as npm passes it on.
 */
const cut = (signal: NodeJS.Signals): void => {
  if (cutBy !== null) return
  cutBy = signal
  for (const child of children) child.kill(signal)
  setTimeout(() => children.forEach((child) => child.kill('SIGKILL')), patienceMilliseconds).unref()
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => cut(signal))

const shared = { ...process.env, TMPDIR: folder }
// The compiler and the linter are Go programs that end within seconds: they collect no garbage before they hold much.
const environment = { ...shared, GOGC: 'off', GOMEMLIMIT: '2GiB' }

const checks = async (): Promise<Ended[]> => {
  const ended: Ended[] = []
  for (const script of ['check', 'lint', 'format']) {
    if (cutBy === null) ended.push(await run('npm', ['run', script], { env: environment }))
  }
  return ended
}

const [checked, tested] = await Promise.all([
  checks(),
  run('vitest', ['run', ...process.argv.slice(2)], { env: shared, stdio: 'inherit' }),
])
for (const { output } of checked) process.stdout.write(output)
if (cutBy !== null) process.exitCode = 128 + constants.signals[cutBy]
else if (![...checked, tested].every(({ passed }) => passed)) process.exitCode = 1
