import { test } from 'vitest'
import { startProcess, temporaryFolder } from '../../support/node-process.ts'

test('a service runs', async () => {
  const folder = await temporaryFolder()
  const service = await startProcess(folder.path)
  await fetch(process.env['TELL'] ?? '', { method: 'POST', body: service.url })
  await new Promise(() => undefined)
})
