import { spawn, type SpawnOptions } from 'node:child_process'

/**
 * `npm test`: the checks beside the tests, as one leaves cores idle where the other waits. All of them run, whichever
 * fails. What the checks say comes last, where it is read. The words behind the command are for vitest.
 */

interface Ended {
  readonly passed: boolean
  readonly output: string
}

const run = (command: string, words: readonly string[], options: SpawnOptions): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, words, options)
    const output: string[] = []
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part) => output.push(String(part)))
    child.once('error', reject)
    child.once('close', (code) => resolve({ passed: code === 0, output: output.join('') }))
  })

// The compiler and the linter are Go programs that end within seconds: they collect no garbage before they hold much.
const environment = { ...process.env, GOGC: 'off', GOMEMLIMIT: '2GiB' }

const checks = async (): Promise<Ended[]> => {
  const ended: Ended[] = []
  for (const script of ['check', 'lint', 'format']) ended.push(await run('npm', ['run', script], { env: environment }))
  return ended
}

const [checked, tested] = await Promise.all([
  checks(),
  run('vitest', ['run', ...process.argv.slice(2)], { stdio: 'inherit' }),
])
for (const { output } of checked) process.stdout.write(output)
if (![...checked, tested].every(({ passed }) => passed)) process.exitCode = 1
