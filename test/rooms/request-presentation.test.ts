import 'reflect-metadata'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command } from '../../src/ports/database.ts'
import { localOperator } from '../support/administrators.ts'
import type { Answer, Api, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { toPem } from '../support/pem.ts'
import { certify, joinDevice, register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { day, expectProblem, hour, minute } from './support.ts'

const start = Date.parse('2026-11-21T12:00:00Z')
const sender = 'validation@ca.example'

/** How a device sees its requests; what becomes of them is shown elsewhere. */
describe.each(engines)('a request as its device sees it, on %s', (engine) => {
  let harness: RoomHarness
  let operator: Api
  let ca: TestCa
  let people = 0
  const connections = new Map<string, string>()

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    operator = localOperator(harness)
    ca = await makeTestCa('Offline', () => start)
    await connect(1, 'silent.example', {})
    await connect(2, 'asking.example', { mailboxChallenge: { sender } })
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  const recipientOf = (domain: string): string => `Trust Services of ${domain}`
  const connect = async (position: number, domain: string, settings: object): Promise<void> => {
    const made = await operator.post('/v1/admin/ca-connections', {
      kind: 'manual',
      name: `the internal name of ${domain}`,
      recipient: recipientOf(domain),
      anchors: toPem('CERTIFICATE', ca.root),
      ...settings,
    })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    connections.set(domain, made.body.id)
    const rule = { position, domain, connectionId: made.body.id }
    expect((await operator.post('/v1/admin/routing-rules', rule)).status).toBe(201)
  }

  interface Asked {
    readonly by: Registered
    readonly csr: string
    readonly answer: Answer
  }
  const newcomer = (domain: string): Promise<Registered> => {
    people += 1
    return register(harness.api, harness.mails, `person.${people}@${domain}`)
  }
  const send = (by: Registered, csr: string): Promise<Answer> =>
    by.api.post('/v1/certificate-requests', { csr, use: 'dual' })
  const ask = async (domain: string): Promise<Asked> => {
    const by = await newcomer(domain)
    const csr = await makeCsr({ subject: '', addresses: [by.email] })
    const answer = await send(by, csr)
    expect(answer.status, JSON.stringify(answer.body)).toBe(202)
    await harness.settled()
    return { by, csr, answer }
  }
  const read = (asked: Asked): Promise<Answer> => asked.by.api.get(`/v1/certificate-requests/${asked.answer.body.id}`)
  const bring = async ({ by, csr, answer }: Asked): Promise<void> => {
    const spki = new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData)
    const certificate = await ca.issue({ spki, names: by.email })
    const pem = [certificate, ca.issuing].map((der) => toPem('CERTIFICATE', der)).join('')
    const path = `/v1/admin/certificate-requests/${answer.body.id}/certificate`
    const brought = await operator.post(path, { certificate: pem })
    expect(brought.status, JSON.stringify(brought.body)).toBe(200)
  }
  const nothingMore = { reason: null, explanation: null, forwarded: null, waitingFor: null }

  describe('that the CA inside answers', () => {
    test('was passed on to nobody', async () => {
      const by = await newcomer('example.com')
      const csr = await makeCsr()
      const issued = await send(by, csr)
      expect([issued.status, issued.body]).toEqual([201, expect.objectContaining(nothingMore)])
      expect(issued.headers.get('Retry-After')).toBeNull()
      const repeated = await send(by, csr)
      expect([repeated.status, repeated.body]).toEqual([200, issued.body])
    })
  })

  describe('that goes to a CA elsewhere', () => {
    test('says to whom it was passed on, and since when, in every answer', async () => {
      const at = harness.clock.now
      const asked = await ask('silent.example')
      harness.clock.now += minute
      const forwarded = { to: recipientOf('silent.example'), at: new Date(at).toISOString() }
      const { body } = await read(asked)
      expect(body).toMatchObject({ ...nothingMore, state: 'pending', forwarded, certificate: null })
      expect(JSON.stringify(body)).not.toContain('internal name')
      expect((await send(asked.by, asked.csr)).body).toEqual(body)
      expect((await asked.by.api.get('/v1/certificate-requests')).body.items).toEqual([body])
      await bring(asked)
      const issued = await read(asked)
      expect(issued.body).toMatchObject({ ...nothingMore, state: 'issued', forwarded })
      expect(issued.headers.get('Retry-After')).toBeNull()
    })

    test('keeps saying so after the connection was removed', async () => {
      await connect(3, 'leaving.example', {})
      const asked = await ask('leaving.example')
      const path = `certificate-requests/${asked.answer.body.id}`
      expect((await asked.by.api.delete(`/v1/${path}`)).status).toBe(204)
      expect((await operator.post(`/v1/admin/${path}/settlement`, { outcome: 'failed' })).status).toBe(200)
      const rules: Json[] = (await operator.get('/v1/admin/routing-rules')).body.items
      const rule = rules.find(({ domain }) => domain === 'leaving.example')
      expect((await operator.delete(`/v1/admin/routing-rules/${rule.id}`)).status).toBe(204)
      const connection = connections.get('leaving.example')
      expect((await operator.delete(`/v1/admin/ca-connections/${connection}`)).status).toBe(204)
      await harness.runJob('ca-connections-prune')
      expect((await read(asked)).body.forwarded.to).toBe(recipientOf('leaving.example'))
    })

    test('was passed on to nobody while it waits here', async () => {
      const paused = await operator.post(`/v1/admin/ca-connections/${connections.get('silent.example')}/pause`)
      expect(paused.status, JSON.stringify(paused.body)).toBe(200)
      const asked = await ask('silent.example')
      const waitingFor = {
        kind: 'ca_available',
        sender: null,
        whatToDo: expect.stringMatching(/^The certificate authority/),
      }
      expect((await read(asked)).body).toMatchObject({ ...nothingMore, state: 'received', waitingFor })
      expect((await asked.by.api.delete(`/v1/certificate-requests/${asked.answer.body.id}`)).status).toBe(204)
      expect((await read(asked)).body).toMatchObject({ ...nothingMore, state: 'cancelled' })
      const resumed = await operator.post(`/v1/admin/ca-connections/${connections.get('silent.example')}/resumption`)
      expect(resumed.status).toBe(200)
    })

    test('was passed on to nobody where the CA could not be reached', async () => {
      await connect(4, 'away.example', { kind: 'cfssl', url: 'http://127.0.0.1:1' })
      const asked = await ask('away.example')
      const { body } = await read(asked)
      expect(body).toMatchObject({ state: 'received', forwarded: null, waitingFor: { kind: 'ca_available' } })
      const seen = await operator.get(`/v1/admin/certificate-requests/${asked.answer.body.id}`)
      expect(seen.body).toMatchObject({ submittedAt: null, lastFailure: 'unreachable', attempts: 1 })
      // Nor where it cannot even be opened to be sent.
      await harness.main.batch([
        command(`UPDATE certificate_requests SET csr_sealed = x'00' WHERE id = ?`, asked.answer.body.id),
      ])
      harness.clock.now += minute
      await expect(harness.runJob('requests-resume')).rejects.toThrow()
      expect((await read(asked)).body).toMatchObject({ state: 'received', forwarded: null })
      expect((await asked.by.api.delete(`/v1/certificate-requests/${asked.answer.body.id}`)).status).toBe(204)
    })

    test('is shown to other devices of the subscriber, and to nobody else', async () => {
      const asked = await ask('silent.example')
      const tablet = await joinDevice(harness.api, harness.mails, asked.by)
      const path = `/v1/certificate-requests/${asked.answer.body.id}`
      expect((await tablet.api.get(path)).body).toEqual((await read(asked)).body)
      const stranger = await newcomer('silent.example')
      expectProblem(await stranger.api.get(path), 404, 'not_found')
    })
  })

  describe('whose CA makes a challenge of its own to the mailbox', () => {
    test('says so while that is awaited: from whom its mail comes, and what to do', async () => {
      const asked = await ask('asking.example')
      const waitingFor = { kind: 'ca_mailbox_challenge', sender, whatToDo: expect.stringContaining('mail') }
      expect((await read(asked)).body).toMatchObject({ state: 'pending', waitingFor })
      expect((await send(asked.by, asked.csr)).body.waitingFor).toEqual((await read(asked)).body.waitingFor)
      await bring(asked)
      expect((await read(asked)).body).toMatchObject({ state: 'issued', waitingFor: null })
    })

    test('says so no more once it is cancelled, and never where the CA makes none', async () => {
      const asked = await ask('asking.example')
      expect((await asked.by.api.delete(`/v1/certificate-requests/${asked.answer.body.id}`)).status).toBe(204)
      expect((await read(asked)).body).toMatchObject({ state: 'cancelled', waitingFor: null })
      expect((await read(await ask('silent.example'))).body.waitingFor).toBeNull()
    })
  })

  describe('says when to ask again', () => {
    const retryAfter = async (asked: Asked): Promise<number | null> => {
      const value = (await read(asked)).headers.get('Retry-After')
      return value === null ? null : Number(value)
    }
    const put = async ({ answer }: Asked, state: string, dueAt: number | null): Promise<void> => {
      await harness.main.batch([
        command(
          `UPDATE certificate_requests SET state = ?, due_at = ?, created_at = ? WHERE id = ?`,
          state,
          dueAt,
          harness.clock.now,
          answer.body.id,
        ),
      ])
    }

    test('when the service looks at it again, within two seconds and an hour', async () => {
      const asked = await ask('silent.example')
      for (const state of ['received', 'pending', 'outcome_unknown']) {
        for (const [wait, seconds] of [
          [-hour, 2],
          [0, 2],
          [1_999, 2],
          [45_000, 45],
          [45_001, 46],
          [59 * minute, 3_540],
          [hour, 3_600],
          [30 * day, 3_600],
        ] as const) {
          await put(asked, state, harness.clock.now + wait)
          expect([state, wait, await retryAfter(asked)]).toEqual([state, wait, seconds])
        }
      }
      await put(asked, 'pending', null)
    })

    test('seldomer the longer it takes', async () => {
      const asked = await ask('silent.example')
      await put(asked, 'pending', harness.clock.now)
      for (const [age, seconds] of [
        [10_000, 2],
        [10 * minute, 60],
        [10 * hour, 3_600],
        [5 * day, 3_600],
      ] as const) {
        const before = harness.clock.now
        harness.clock.now += age
        expect([age, await retryAfter(asked)]).toEqual([age, seconds])
        harness.clock.now = before
      }
      await put(asked, 'pending', null)
    })

    test('after minutes where somebody has to act', async () => {
      const asked = await ask('silent.example')
      expect(await retryAfter(asked)).toBe(300)
      for (const [state, seconds] of [
        ['awaiting_approval', 300],
        ['awaiting_mailbox_proof', 30],
        ['pending', 300],
      ] as const) {
        await put(asked, state, null)
        expect([state, await retryAfter(asked)]).toEqual([state, seconds])
        const repeated = await send(asked.by, asked.csr)
        expect([repeated.status, repeated.headers.get('Retry-After')]).toEqual([200, String(seconds)])
      }
    })

    test('never where it has an outcome', async () => {
      for (const state of ['rejected', 'failed', 'cancelled']) {
        const asked = await ask('silent.example')
        await put(asked, state, null)
        expect([state, await retryAfter(asked)]).toEqual([state, null])
      }
      const by = await newcomer('example.com')
      await certify(by)
      const [issued] = (await by.api.get('/v1/certificate-requests')).body.items
      const shown = await by.api.get(`/v1/certificate-requests/${issued.id}`)
      expect([shown.body.state, shown.headers.get('Retry-After')]).toEqual(['issued', null])
    })
  })
})
