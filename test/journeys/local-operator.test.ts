import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openNodeService, type NodeService } from '../../src/node.ts'
import { Api, askOver } from '../support/api.ts'
import { startProcess, temporaryFolder, testConfig, type ServiceProcess } from '../support/node-process.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let served: ServiceProcess
let beside: NodeService

beforeAll(async () => {
  folder = await temporaryFolder()
  const dataDir = join(folder.path, 'data')
  served = await startProcess(dataDir)
  beside = await openNodeService(testConfig(dataDir), { beside: true, writeLog: () => undefined })
})
afterAll(async () => {
  await beside.close()
  await served.end('SIGTERM')
  await folder.remove()
})

/** Asks the service beside, without a socket. */
const inProcess = new Api(async (path, init) => {
  const request = new Request(`http://127.0.0.1${path}`, init)
  return beside.service.fetch(request, { peer: '127.0.0.1', encrypted: false, pkiOnly: false })
})

test('the operator of one process is nobody to another one, and who it makes over the same files is somebody', async () => {
  const credential = beside.service.administration.localOperator()
  const overSocket = new Api(askOver(served.url))
  const local = await overSocket.with(credential).get('/v1/admin/me')
  expect([local.status, local.body.code]).toEqual([401, 'credential_invalid'])
  const made = await inProcess.with(credential).post('/v1/admin/administrators', { name: 'Anna', roles: ['owner'] })
  expect(made.status).toBe(201)
  const me = await overSocket.with(made.body.credential).get('/v1/admin/me')
  expect([me.status, me.body.id]).toEqual([200, made.body.id])
})
