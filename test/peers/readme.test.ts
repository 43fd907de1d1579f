import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { requireProgram } from './programs.ts'

const run = promisify(execFile)

/** The README's own commands, as they stand there. */
async function storyInCurl(): Promise<string> {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const story = /<!-- story:begin -->\s*```sh\n([\s\S]*?)```\s*<!-- story:end -->/.exec(readme)?.[1]
  if (story === undefined) throw new Error('README.md has no story between its marks')
  return story
}

test("the README's story in curl runs as it is printed", async () => {
  await requireProgram('curl', 'curl')
  await requireProgram('openssl', 'openssl')
  const folder = await temporaryFolder()
  const dataDir = join(folder.path, 'data')
  const service = await startProcess(dataDir)
  try {
    const { stdout, stderr } = await run('bash', ['-eu', '-o', 'pipefail', '-c', await storyInCurl()], {
      cwd: folder.path,
      env: { ...process.env, CERTBOOK_URL: service.url },
    })
    expect(stderr).toBe('')
    expect(stdout).toContain('For your eyes only')
    expect(stdout).toContain('"address":"alice@example.com","status":"found"')
    expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
  } finally {
    await service.end('SIGKILL')
    await folder.remove()
  }
})
