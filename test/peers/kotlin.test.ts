import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { policyVersion } from '../support/story.ts'
import { requireProgram } from './programs.ts'
import { runWell } from './run.ts'

const calls = fileURLToPath(new URL('../../docs/clients/CertbookCalls.kt', import.meta.url))
const app = fileURLToPath(new URL('kotlin-app.kt', import.meta.url))

test('the generated Kotlin compiles and registers a mailbox', async () => {
  await requireProgram('kotlinc', 'kotlin')
  await requireProgram('java', 'default-jre-headless')
  const folder = await temporaryFolder()
  const service = await startProcess(join(folder.path, 'data'))
  try {
    const compiled = await runWell(folder.path, 'kotlinc', [calls, app, '-include-runtime', '-d', 'app.jar'])
    expect(
      compiled.split('\n').filter((line) => /(error|warning): /.test(line) && !line.startsWith('OpenJDK')),
    ).toEqual([])
    const outbox = join(folder.path, 'data', 'outbox')
    const run = ['-cp', 'app.jar', 'app.Kotlin_appKt', service.url, policyVersion, outbox]
    expect(await runWell(folder.path, 'java', run)).toContain('done')
  } finally {
    await service.end('SIGTERM')
    await folder.remove()
  }
})
