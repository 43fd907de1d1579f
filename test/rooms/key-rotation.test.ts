import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { settleMilliseconds } from '../../src/adapters/main-secrets.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import { checkService } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'
import { did } from './support.ts'

describe.each(engines)('a main secret is rotated while the service runs, on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let bob: Registered
  let auditor: Administrator

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    const { api, mails } = harness
    alice = await register(api, mails, 'alice@example.com')
    bob = await register(api, mails, 'bob@example.org')
    auditor = await makeAdministrator(harness, 'auditor')
    await publish(alice, (await certify(alice)).id)
    await harness.runJob('audit-seal')
    await harness.keys.rotateMain()
    harness.clock.now += settleMilliseconds
    await harness.settled()
  })
  afterAll(() => harness.close())

  test('who had a credential goes on: look up, log, certify, publish', async () => {
    expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('found')
    await publish(bob, (await certify(bob)).id)
    expect((await lookUp(alice, ['bob@example.org']))[0].status).toBe('found')
    expect((await did(alice.api.get('/v1/me/lookups'))).items).toHaveLength(1)
    const me = await did(alice.api.get('/v1/me'))
    expect(me.mailboxes.map(({ address }: { address: string }) => address)).toEqual(['alice@example.com'])
  })

  test('who comes now is registered, and finds and is found', async () => {
    const carol = await register(harness.api, harness.mails, 'carol@example.net')
    await publish(carol, (await certify(carol)).id)
    expect((await lookUp(carol, ['alice@example.com']))[0].status).toBe('found')
    expect((await lookUp(bob, ['carol@example.net']))[0].status).toBe('found')
  })

  test('the audit log is whole, over entries and seals of both secrets', async () => {
    await harness.runJob('audit-seal')
    expect(await did(auditor.api.get('/v1/admin/audit-log/verification'))).toMatchObject({ faults: [] })
  })

  test('the service is whole', async () => {
    const { service, journal, keys } = harness
    await harness.settled()
    await checkService({ service, shards: journal.shards(), keys, answered: [], addresses: [] })
  })
})
