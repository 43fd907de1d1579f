import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { query, text } from '../../src/ports/database.ts'
import { localOperator, makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Api, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { proveMailbox, register, type Registered } from '../support/story.ts'
import { countRows, day, endElsewhere, expectProblem, findLeaks, race } from '../rooms/support.ts'

const reason = 'Shared mailboxes get no certificate here.'

describe.each(engines)('approval on %s', (engine) => {
  let harness: RoomHarness
  let author: Administrator
  let first: Administrator
  let second: Administrator
  let registered = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    author = await makeAdministrator(harness, 'operator', 'approver')
    first = await makeAdministrator(harness, 'approver')
    second = await makeAdministrator(harness, 'approver')
    for (const approvals of [1, 2]) await makeRule(author.api, approvals)
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  /** Mailboxes at `one.example` need one approval, those at `two.example` two. */
  const domains = ['one.example', 'two.example'] as const
  const makeRule = async (api: Api, approvals: number): Promise<Json> => {
    const rule = { position: approvals, domain: domains[approvals - 1], connectionId: 'embedded', approvals }
    const made = await api.post('/v1/admin/routing-rules', rule)
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    return made.body
  }

  const newcomer = (needed: 1 | 2): Promise<Registered> => {
    registered += 1
    return register(harness.api, harness.mails, `person.${registered}@${domains[needed - 1]}`)
  }
  const ask = async (device: Registered, csr?: string): Promise<Answer> =>
    device.api.post('/v1/certificate-requests', { csr: csr ?? (await makeCsr()), use: 'dual' })
  const asked = async (needed: 1 | 2): Promise<{ device: Registered; id: string }> => {
    const device = await newcomer(needed)
    const answer = await ask(device)
    expect([answer.status, answer.body.state]).toEqual([202, 'awaiting_approval'])
    return { device, id: answer.body.id }
  }
  const path = (id: string, step: string): string => `/v1/admin/certificate-requests/${id}/${step}`
  const approve = (by: { readonly api: Api }, id: string): Promise<Answer> => by.api.post(path(id, 'approval'))
  const reject = (by: { readonly api: Api }, id: string, why = reason): Promise<Answer> =>
    by.api.post(path(id, 'rejection'), { reason: why })
  const seen = async (device: Registered, id: string): Promise<Json> => {
    await harness.settled()
    return (await device.api.get(`/v1/certificate-requests/${id}`)).body
  }
  const votes = (id: string): Promise<number> => countRows(harness.main, 'request_approvals WHERE request = ?', id)
  const entriesOf = (id: string) =>
    harness.main.all(
      query(
        { action: text, actorKind: text, actor: text },
        `SELECT action, actor_kind AS actorKind, COALESCE(actor, '-') AS actor FROM audit_entries
         WHERE subject = ? AND instr(action, 'certificate.request_') = 1 ORDER BY position`,
        id,
      ),
    )

  describe('a request that needs one person', () => {
    test('waits, says so, and goes to the CA once one has approved', async () => {
      const device = await newcomer(1)
      const csr = await makeCsr()
      const waiting = await ask(device, csr)
      expect(waiting.status).toBe(202)
      expect(waiting.headers.get('Retry-After')).toBe('300')
      expect(waiting.headers.get('Location')).toBe(`/v1/certificate-requests/${waiting.body.id}`)
      expect(waiting.body).toMatchObject({
        state: 'awaiting_approval',
        reason: null,
        explanation: null,
        forwarded: null,
      })
      const again = await ask(device, csr)
      expect([again.status, again.body.id]).toEqual([200, waiting.body.id])
      const { id } = waiting.body

      const approved = await approve(first, id)
      expect(approved.status).toBe(200)
      expect(approved.body).toMatchObject({ id, reason: null, approvals: { needed: 1, given: 1 }, repeated: false })
      expect(await seen(device, id)).toMatchObject({ state: 'issued', certificate: { mailbox: device.email } })
      expect(await entriesOf(id)).toEqual([
        { action: 'certificate.request_approved', actorKind: 'administrator', actor: first.id },
      ])
    })

    test('may be approved by who wrote the rule, and by the command line of the machine', async () => {
      for (const by of [author, { api: localOperator(harness) }]) {
        const { device, id } = await asked(1)
        expect((await approve(by, id)).status).toBe(200)
        expect((await seen(device, id)).state).toBe('issued')
      }
    })

    test('is approved again by the same person with the same answer, and by nobody else', async () => {
      const { device, id } = await asked(1)
      await approve(first, id)
      await seen(device, id)
      const repeated = await approve(first, id)
      expect([repeated.status, repeated.body]).toEqual([
        200,
        {
          id,
          state: 'issued',
          reason: null,
          certificateId: expect.any(String),
          approvals: { needed: 1, given: 1 },
          repeated: true,
        },
      ])
      expectProblem(await approve(second, id), 409, 'decided_already')
      expectProblem(await reject(first, id), 409, 'decided_already')
      expectProblem(await reject(second, id), 409, 'decided_already')
      expect(await votes(id)).toBe(1)
    })

    test('is shown to approvers with who asks for what, and which rule caught it', async () => {
      const { device, id } = await asked(1)
      const { body } = await first.api.get(`/v1/admin/certificate-requests/${id}`)
      expect(body).toMatchObject({
        state: 'awaiting_approval',
        mailbox: device.email,
        accountType: 'imap',
        use: 'dual',
        provedBy: 'csr',
        subscriberId: device.subscriberId,
        deviceId: device.deviceId,
        connectionId: 'embedded',
        connectionName: 'embedded',
        key: { algorithm: 'EC P-256', spkiSha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
        rule: { author: author.id, position: 1, state: 'unchanged' },
        approvals: { needed: 1, given: [] },
      })
      for (const at of [body.mailboxProvedAt, body.subscriberSince, body.deviceSince]) {
        expect(Date.parse(at)).toBe(harness.clock.now)
      }
      await approve(first, id)
      const given = (await second.api.get(`/v1/admin/certificate-requests/${id}`)).body.approvals.given
      expect(given).toEqual([{ administratorId: first.id, decision: 'approved', at: expect.any(String) }])
    })

    test('waits for a new proof of the mailbox where the last one grew too old meanwhile, and is asked about once', async () => {
      const device = await newcomer(1)
      harness.clock.now += 29 * day
      const { id } = (await ask(device)).body
      harness.clock.now += 2 * day
      expect((await approve(first, id)).status).toBe(200)
      expect((await seen(device, id)).state).toBe('awaiting_mailbox_proof')
      await proveMailbox(device, harness.mails)
      expect((await seen(device, id)).state).toBe('issued')
      expect(await votes(id)).toBe(1)
    })

    test('is approved after its mailbox is proved, not before', async () => {
      const device = await newcomer(1)
      harness.clock.now += 31 * day
      const { id, state } = (await ask(device)).body
      expect(state).toBe('awaiting_mailbox_proof')
      expectProblem(await approve(first, id), 409, 'request_not_in_that_state')
      await proveMailbox(device, harness.mails)
      expect((await seen(device, id)).state).toBe('awaiting_approval')
      expect((await approve(first, id)).status).toBe(200)
      expect((await seen(device, id)).state).toBe('issued')
    })
  })

  describe('a rejection', () => {
    test('ends the request, and is shown to the device with its reason', async () => {
      const { device, id } = await asked(1)
      const rejected = await reject(first, id)
      expect([rejected.status, rejected.body]).toEqual([
        200,
        {
          id,
          state: 'rejected',
          reason: 'rejected_by_approver',
          certificateId: null,
          approvals: { needed: 1, given: 0 },
          repeated: false,
        },
      ])
      const shown = await device.api.get(`/v1/certificate-requests/${id}`)
      expect(shown.body).toMatchObject({
        state: 'rejected',
        reason: 'rejected_by_approver',
        explanation: reason,
        certificate: null,
      })
      expect(shown.headers.get('Retry-After')).toBeNull()
      const repeated = await reject(first, id, 'Another reason, which changes nothing.')
      expect([repeated.status, repeated.body]).toEqual([200, { ...rejected.body, repeated: true }])
      expect((await seen(device, id)).explanation).toBe(reason)
      expectProblem(await approve(first, id), 409, 'decided_already')
      expectProblem(await approve(second, id), 409, 'decided_already')
      expect((await first.api.get(`/v1/admin/certificate-requests/${id}`)).body.explanation).toBe(reason)
      expect(await entriesOf(id)).toEqual([
        { action: 'certificate.request_rejected', actorKind: 'administrator', actor: first.id },
      ])
    })

    test('leaves what was said nowhere in clear, and shows it to no auditor', async () => {
      const { id } = await asked(1)
      const words = 'words-of-an-approver-about-alice'
      expect((await reject(first, id, words)).status).toBe(200)
      expect(await findLeaks(harness, words)).toEqual([])
      const auditor = await makeAdministrator(harness, 'auditor')
      const { body } = await auditor.api.get(`/v1/admin/certificate-requests/${id}`)
      expect([body.state, body.explanation, body.mailbox]).toEqual(['rejected', null, null])
    })

    test('ends a request for good: the same CSR is a new one, which waits again', async () => {
      const device = await newcomer(1)
      const csr = await makeCsr()
      const { id } = (await ask(device, csr)).body
      await reject(first, id)
      const anew = await ask(device, csr)
      expect([anew.status, anew.body.state]).toEqual([202, 'awaiting_approval'])
      expect(anew.body.id).not.toBe(id)
    })

    test.each([
      ['without a reason', {}],
      ['with a reason too short to be one', { reason: ' no ' }],
      ['with more than a reason', { reason: 'x'.repeat(501) }],
      ['with another field', { reason, force: true }],
    ])('%s is refused, and the request waits on', async (_title, body) => {
      const { device, id } = await asked(1)
      expectProblem(await first.api.post(path(id, 'rejection'), body), 422, 'invalid_request')
      expect((await seen(device, id)).state).toBe('awaiting_approval')
      expect(await votes(id)).toBe(0)
    })
  })

  describe('a request that needs two persons', () => {
    test('waits for the second', async () => {
      const { device, id } = await asked(2)
      const once = await approve(first, id)
      expect([once.status, once.body.state, once.body.approvals]).toEqual([
        200,
        'awaiting_approval',
        { needed: 2, given: 1 },
      ])
      const repeated = await approve(first, id)
      expect([repeated.status, repeated.body]).toEqual([200, { ...once.body, repeated: true }])
      expect((await seen(device, id)).state).toBe('awaiting_approval')
      expect((await approve(second, id)).body.approvals).toEqual({ needed: 2, given: 2 })
      expect((await seen(device, id)).state).toBe('issued')
      expect((await entriesOf(id)).map(({ actor }) => actor)).toEqual([first.id, second.id])
    })

    test('is ended by one who rejects it, also after another approved', async () => {
      const { device, id } = await asked(2)
      await approve(first, id)
      expectProblem(await reject(first, id), 409, 'decided_already')
      expect((await reject(second, id)).body).toMatchObject({ state: 'rejected', approvals: { needed: 2, given: 1 } })
      expect((await seen(device, id)).explanation).toBe(reason)
    })

    test('is not approved by who wrote the rule, nor by the command line, and may be rejected by them', async () => {
      for (const by of [author, { api: localOperator(harness) }]) {
        const { device, id } = await asked(2)
        expectProblem(await approve(by, id), 403, 'another_person_required')
        await approve(first, id)
        expectProblem(await approve(by, id), 403, 'another_person_required')
        expect([await votes(id), (await seen(device, id)).state]).toEqual([1, 'awaiting_approval'])
        expect((await reject(by, id)).status).toBe(200)
      }
    })

    test('has the author that its rule had when it was caught, whoever wrote it since', async () => {
      const { device, id } = await asked(2)
      const rules = (await author.api.get('/v1/admin/routing-rules')).body.items
      const rule = rules.find((found: Json) => found.domain === domains[1])
      const other = await makeAdministrator(harness, 'operator', 'approver')
      harness.clock.now += 1
      const { position, domain, connectionId } = rule
      const change = { position, domain, connectionId, approvals: 2 }
      expect((await other.api.put(`/v1/admin/routing-rules/${rule.id}`, change)).status).toBe(200)
      const { body } = await first.api.get(`/v1/admin/certificate-requests/${id}`)
      expect(body.rule).toEqual({ id: rule.id, author: author.id, position: 2, state: 'changed' })
      expectProblem(await approve(author, id), 403, 'another_person_required')
      expect((await approve(other, id)).status).toBe(200)
      expect((await approve(first, id)).status).toBe(200)
      expect((await seen(device, id)).state).toBe('issued')

      const later = await asked(2)
      expectProblem(await approve(other, later.id), 403, 'another_person_required')
      expect((await approve(author, later.id)).status).toBe(200)
      expect((await author.api.delete(`/v1/admin/routing-rules/${rule.id}`)).status).toBe(204)
      const after = (await first.api.get(`/v1/admin/certificate-requests/${later.id}`)).body
      expect(after.rule).toEqual({ id: rule.id, author: other.id, position: null, state: 'gone' })
      expectProblem(await approve(other, later.id), 403, 'another_person_required')
      expect((await approve(second, later.id)).status).toBe(200)
      await makeRule(author.api, 2)
    })
  })

  describe('at once', () => {
    test('twenty approvals by one person count once', async () => {
      const { device, id } = await asked(2)
      const answers = await race(20, () => approve(first, id))
      expect(answers.map(({ status, body }) => [status, body.approvals.given])).toEqual(answers.map(() => [200, 1]))
      expect([await votes(id), (await seen(device, id)).state]).toEqual([1, 'awaiting_approval'])
      expect((await entriesOf(id)).length).toBe(1)
    })

    test('twenty persons who approve issue one certificate', async () => {
      const { device, id } = await asked(2)
      const many = await race(20, () => makeAdministrator(harness, 'approver'))
      const answers = await race(20, (index) => approve(many[index] ?? first, id))
      const counted = answers.filter(({ status }) => status === 200).length
      expect(counted).toBe(2)
      for (const answer of answers) if (answer.status !== 200) expectProblem(answer, 409, 'decided_already')
      expect((await seen(device, id)).state).toBe('issued')
      expect(await countRows(harness.main, 'certificates WHERE request = ?', id)).toBe(1)
    })

    test('approving and rejecting: one of them counts', async () => {
      for (let round = 0; round < 5; round += 1) {
        const { device, id } = await asked(1)
        const [yes, no] = await Promise.all([approve(first, id), reject(second, id)])
        expect(new Set([yes.status, no.status])).toEqual(new Set([200, 409]))
        const state = (await seen(device, id)).state
        expect(state).toBe(yes.status === 200 ? 'issued' : 'rejected')
        expect(await votes(id)).toBe(1)
      }
    })

    test('approving and cancelling: what was cancelled is not approved', async () => {
      for (let round = 0; round < 5; round += 1) {
        const { device, id } = await asked(1)
        const [yes, cancelled] = await Promise.all([
          approve(first, id),
          device.api.delete(`/v1/certificate-requests/${id}`),
        ])
        const { state } = await seen(device, id)
        expect(state).toBe(cancelled.status === 204 ? 'cancelled' : 'issued')
        if (yes.status !== 200) expectProblem(yes, 409, 'request_not_in_that_state')
        else if (state === 'cancelled') {
          // Approved first, and cancelled before it was sent.
          expect(await countRows(harness.main, 'certificates WHERE request = ?', id)).toBe(0)
        }
      }
    })
  })

  test.each(['mailbox', 'device'] as const)('a request whose %s ended a moment ago is not approved', async (what) => {
    const { device, id } = await asked(1)
    await endElsewhere[what](harness, device)
    expectProblem(await approve(first, id), 409, 'request_not_in_that_state')
    expect(await votes(id)).toBe(0)
    expect((await reject(first, id)).status).toBe(200)
  })

  test('a request that nobody decides on for 30 days is given up', async () => {
    const { device, id } = await asked(1)
    harness.clock.now += 30 * day - 1
    await harness.runJob('requests-expire')
    expect((await seen(device, id)).state).toBe('awaiting_approval')
    harness.clock.now += 1
    await harness.runJob('requests-expire')
    expect(await seen(device, id)).toMatchObject({ state: 'failed', reason: 'not_approved_in_time' })
    expectProblem(await approve(first, id), 409, 'request_not_in_that_state')
    expectProblem(await reject(first, id), 409, 'request_not_in_that_state')
  })

  test('there is nothing to decide on what never waited, and on what is not there', async () => {
    const device = await register(harness.api, harness.mails, 'free@example.com')
    const { id } = (await ask(device)).body
    expectProblem(await approve(first, id), 409, 'request_not_in_that_state')
    expectProblem(await reject(first, id), 409, 'request_not_in_that_state')
    expectProblem(await approve(first, 'nobody'), 404, 'not_found')
    expectProblem(await reject(first, 'nobody'), 404, 'not_found')
  })
})
