import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkService } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, lookUp, publish, register } from '../support/story.ts'

describe.each(engines)('the story on %s', (engine) => {
  let harness: RoomHarness

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  test('register, certify, publish, look up, log', async () => {
    const { api, mails } = harness
    const alice = await register(api, mails, 'alice@example.com')
    const bob = await register(api, mails, 'bob@bücher.example')
    const certificate = await certify(alice)
    expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('not_found')
    await publish(alice, certificate.id)
    const [found, unknown, invalid] = await lookUp(bob, ['Alice@EXAMPLE.com', 'nobody@example.com', 'not an address'])
    expect(found.status).toBe('found')
    expect(found.certificates[0].certificate).toBe(certificate.certificate)
    expect(unknown).toEqual({ address: 'nobody@example.com', status: 'not_found', certificates: [] })
    expect(invalid.status).toBe('invalid')
    const log = await bob.api.get('/v1/me/lookups')
    expect(log.body.items.map((item: { address: string; status: string }) => [item.address, item.status])).toEqual([
      ['nobody@example.com', 'not_found'],
      ['Alice@example.com', 'found'],
      ['alice@example.com', 'not_found'],
    ])
    await harness.settled()
    await harness.runJob('audit-seal')
    await checkService({
      service: harness.service,
      shards: harness.journal.shards(),
      keys: harness.keys,
      answered: [
        { asker: bob.subscriberId, addresses: ['alice@example.com', 'Alice@example.com', 'nobody@example.com'] },
      ],
      addresses: ['alice@example.com', 'bob@bücher.example'],
    })
  })
})
