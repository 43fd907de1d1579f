import { expect, test } from 'vitest'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import type { CaAdapter } from '../../src/cas/adapters/contract.ts'
import { createManualCa } from '../../src/cas/adapters/manual/manual.ts'
import { describeCaAdapter } from '../support/ca-contract.ts'
import { makeOrder } from '../support/ca-order.ts'
import { toPem } from '../support/pem.ts'
import { makeTestCa } from '../support/test-ca.ts'

const manual = (root: Uint8Array, more: object = {}): CaAdapter => {
  const anchors = toPem('CERTIFICATE', root)
  const settings = caConnectionRequest.parse({
    kind: 'manual',
    name: 'Offline',
    recipient: 'Example AG',
    anchors,
    ...more,
  })
  if (settings.kind !== 'manual') throw new Error('another kind')
  return createManualCa(settings)
}

describeCaAdapter('manual', {
  start: async () => {
    const ca = await makeTestCa('Offline')
    return {
      url: '',
      trust: ca.trust,
      adapter: () => manual(ca.root),
      issued: () => 0,
      stop: async () => undefined,
    }
  },
  orders: [{}, { key: 'RSA-2048', use: 'encrypt' }, { key: 'Ed25519', use: 'sign' }],
  refused: [],
  network: null,
  submits: 'never',
  revokes: null,
  finds: false,
})

test('an order at a portal that asks the mailbox itself says so, however often it is sent', async () => {
  const { root } = await makeTestCa('Public')
  const adapter = manual(root, { mailboxChallenge: { sender: 'validation@ca.example' } })
  const order = await makeOrder()
  const waits = { kind: 'pending', state: null, retryAfterSeconds: null, waitsFor: 'ca_mailbox_challenge' }
  expect(await adapter.submit(order)).toEqual(waits)
  expect(await adapter.submit(order)).toEqual(waits)
  expect('poll' in adapter).toBe(false)
})
