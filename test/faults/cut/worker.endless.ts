import { test } from 'vitest'
import { temporaryFolder } from '../../support/node-process.ts'
import { startWorker } from '../../support/worker-process.ts'

test('a Worker runs', async () => {
  const folder = await temporaryFolder()
  const worker = await startWorker(folder.path, 'http://127.0.0.1:9')
  await fetch(process.env['TELL'] ?? '', { method: 'POST', body: worker.url })
  await new Promise(() => undefined)
})
