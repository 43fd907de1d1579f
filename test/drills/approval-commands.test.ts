import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { certbookHere, type Ended } from '../support/certbook.ts'
import { makeCsr } from '../support/csr.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { register, type Registered } from '../support/story.ts'

const roles = ['owner', 'operator', 'approver', 'privacy', 'auditor'] as const
type Role = (typeof roles)[number]

describe('the commands of approvers', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let dataDir: string
  let service: ServiceProcess
  let mails: Awaited<ReturnType<typeof watchOutbox>>
  let alice: Registered
  let bob: Registered
  const credentials = new Map<Role, string>()

  beforeAll(async () => {
    folder = await temporaryFolder()
    dataDir = join(folder.path, 'data')
    service = await startProcess(dataDir)
    mails = await watchOutbox(join(dataDir, 'outbox'))
    alice = await register(new Api(askOver(service.url)), mails, 'alice@one.example')
    bob = await register(new Api(askOver(service.url)), mails, 'bob@two.example')
    for (const role of roles) {
      const made = await certbookHere(['admin', 'create', '--name', role, '--roles', role, '--json'], {
        DATA_DIR: dataDir,
      })
      expect(made.code, made.stderr).toBe(0)
      credentials.set(role, JSON.parse(made.stdout).credential)
    }
    const api = new Api(askOver(service.url)).with(credentials.get('operator') ?? '')
    for (const [domain, approvals] of [
      ['one.example', 1],
      ['two.example', 2],
    ] as const) {
      const rule = { position: approvals, domain, connectionId: 'embedded', approvals }
      expect((await api.post('/v1/admin/routing-rules', rule)).status).toBe(201)
    }
  })
  afterAll(async () => {
    mails.close()
    await service.end('SIGTERM')
    await folder.remove()
  })

  const as = (role: Role, ...args: readonly string[]): Promise<Ended> =>
    certbookHere(['request', ...args], {
      CERTBOOK_URL: service.url,
      CERTBOOK_ADMIN_CREDENTIAL: credentials.get(role) ?? '',
    })
  const onFiles = (...args: readonly string[]): Promise<Ended> =>
    certbookHere(['request', ...args], { DATA_DIR: dataDir })
  const ask = async (by: Registered): Promise<string> => {
    const asked = await by.api.post('/v1/certificate-requests', { csr: await makeCsr(), use: 'dual' })
    expect([asked.status, asked.body.state]).toEqual([202, 'awaiting_approval'])
    return asked.body.id
  }
  const read = async (by: Registered, id: string): Promise<Json> =>
    (await by.api.get(`/v1/certificate-requests/${id}`)).body

  test('show who asks for what, and which rule caught it', async () => {
    const id = await ask(alice)
    const { code, stdout } = await as('approver', 'show', id)
    expect(code).toBe(0)
    expect(stdout).toContain('alice@one.example')
    expect(stdout).toMatch(/key +EC P-256, SHA-256 [0-9a-f]{64}/)
    expect(stdout).toMatch(/rule +at position 1, written by [\w-]{22}, unchanged since it caught the request$/m)
    expect(stdout).toMatch(/approvals +0 of 1/)
    expect(stdout).not.toContain('[object')
  })

  test('approve', async () => {
    const id = await ask(alice)
    const { code, stdout, stderr } = await as('approver', 'approve', id)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^The request ${id} is \\w+; 1 of 1 approvals are given\\.\n$`))
    const again = await as('approver', 'approve', id)
    expect([again.code, again.stdout]).toEqual([0, expect.stringMatching(/^You have approved it already\. .*1 of 1/)])
    const rejected = await as('approver', 'reject', id, '--reason', 'too late for that')
    expect([rejected.code, rejected.stdout]).toEqual([1, ''])
    expect(rejected.stderr).toContain('decided_already')
  })

  test('reject, with a reason that the device is shown', async () => {
    const id = await ask(alice)
    expect(await as('approver', 'reject', id)).toMatchObject({ code: 2, stdout: '' })
    const { code, stdout } = await as('approver', 'reject', id, '--reason', 'a shared mailbox', '--json')
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      {
        id,
        state: 'rejected',
        reason: 'rejected_by_approver',
        certificateId: null,
        approvals: { needed: 1, given: 0 },
        repeated: false,
      },
    ])
    expect((await read(alice, id)).explanation).toBe('a shared mailbox')
  })

  test('approve on the files of the machine, beside the service, where one person is enough', async () => {
    const id = await ask(alice)
    const approved = await onFiles('approve', id)
    expect([approved.code, approved.stderr]).toEqual([0, ''])
    // The service beside it sends it, within a minute.
    expect((await read(alice, id)).state).toMatch(/^(?:received|pending|issued)$/)
    const guarded = await ask(bob)
    const refused = await onFiles('approve', guarded)
    expect([refused.code, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toContain('another_person_required')
    expect((await read(bob, guarded)).state).toBe('awaiting_approval')
  })

  test.each(roles.filter((role) => role !== 'approver'))('are not for whoever is only %s', async (role) => {
    const id = await ask(alice)
    for (const args of [
      ['approve', id],
      ['reject', id, '--reason', 'a shared mailbox'],
    ]) {
      const refused = await as(role, ...args)
      expect([refused.code, refused.stdout]).toEqual([2, ''])
      expect(refused.stderr).toContain('role_required')
    }
    expect((await read(alice, id)).state).toBe('awaiting_approval')
  })
})
