import { readFile, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { freePort } from '../support/odd-servers.ts'
import { endWithTests, runProgramWell } from '../support/processes.ts'
import { requireProgram } from './programs.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

/** A page's own commands, as they stand there between two marks. */
async function commandsOf(mark: string, page = 'README.md'): Promise<string> {
  const readme = await readFile(join(project, page), 'utf8')
  const between = new RegExp(`<!-- ${mark}:begin -->\\s*\`\`\`sh\\n([\\s\\S]*?)\`\`\`\\s*<!-- ${mark}:end -->`)
  const commands = between.exec(readme)?.[1]
  if (commands === undefined) throw new Error(`${page} has no ${mark} between its marks`)
  return commands
}

test("the README's story in curl runs as it is printed", async () => {
  await requireProgram('curl', 'curl')
  await requireProgram('openssl', 'openssl')
  const folder = await temporaryFolder()
  const dataDir = join(folder.path, 'data')
  const service = await startProcess(dataDir)
  try {
    const { stdout, stderr } = await runProgramWell(
      'bash',
      ['-eu', '-o', 'pipefail', '-c', await commandsOf('story')],
      {
        cwd: folder.path,
        env: { ...process.env, CERTBOOK_URL: service.url },
      },
    )
    expect(stderr).toBe('')
    expect(stdout).toContain('For your eyes only')
    expect(stdout).toContain('"address":"alice@example.com","status":"found"')
    expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
  } finally {
    await service.end('SIGKILL')
    await folder.remove()
  }
})

test('the first administrator is made as it is printed, and nobody else can read the credential', async () => {
  const folder = await temporaryFolder()
  for (const name of ['package.json', 'node_modules', 'src', 'db']) {
    await symlink(join(project, name), join(folder.path, name))
  }
  const service = await startProcess(join(folder.path, 'data'))
  try {
    const { stdout } = await runProgramWell('sh', ['-eu', '-c', await commandsOf('administrator')], {
      cwd: folder.path,
    })
    expect(stdout).toContain('Olivia Owner')
    const file = join(folder.path, 'data', 'olivia.credential')
    expect(await readFile(file, 'utf8')).toMatch(/^cb_adm_[\w-]{43}\n$/)
    expect((await stat(file)).mode & 0o077).toBe(0)
    expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
  } finally {
    await service.end('SIGKILL')
    await folder.remove()
  }
})

test("a CA in five minutes, as the administrators' page prints it, and README's story with it", async () => {
  for (const [program, debianPackage] of [
    ['curl', 'curl'],
    ['openssl', 'openssl'],
    ['cfssl', 'golang-cfssl'],
  ] as const) {
    await requireProgram(program, debianPackage)
  }
  const folder = await temporaryFolder()
  for (const name of ['package.json', 'node_modules', 'src', 'db']) {
    await symlink(join(project, name), join(folder.path, name))
  }
  const service = await startProcess(join(folder.path, 'data'))
  // The CA that the commands start goes on when they have ended.
  const bash = (commands: string, env: Readonly<Record<string, string>>) =>
    runProgramWell('bash', ['-eu', '-o', 'pipefail', '-c', commands], {
      cwd: folder.path,
      env: { ...process.env, ...env },
      mayLeave: true,
    })
  let release = (): void => undefined
  try {
    const made = await bash(await commandsOf('cfssl', 'docs/ca-integration.md'), { CA_PORT: String(await freePort()) })
    release = endWithTests(Number(await readFile(join(folder.path, 'data/cfssl/pid'), 'utf8')))
    expect(made.stdout).toContain('The CA is there, and lets the service in.')
    expect(made.stdout).toContain('To trial (active), 0 to approve.')
    const told = await bash(await commandsOf('story'), { CERTBOOK_URL: service.url })
    expect(told.stdout).toContain('For your eyes only')
    const { stdout } = await runProgramWell('openssl', [
      'x509',
      '-in',
      join(folder.path, 'data/story/alice.pem'),
      '-noout',
      '-issuer',
    ])
    expect(stdout).toContain('Example mail CA')
    expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
  } finally {
    await bash('kill "$(cat data/cfssl/pid)"', {}).catch(() => undefined)
    release()
    await service.end('SIGKILL')
    await folder.remove()
  }
})
