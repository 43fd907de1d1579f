import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkService } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { changedTables, countRows } from '../support/row-counts.ts'
import { certify, register, type Registered } from '../support/story.ts'
import { runs } from '../support/thorough.ts'

const fixture = (name: string): Buffer =>
  Buffer.from(
    readFileSync(new URL(`../../certs-fixtures/${name}`, import.meta.url), 'utf8').replaceAll(
      /-----[^-]+-----|\s/g,
      '',
    ),
    'base64',
  )

const bases = [
  'csr-p256-any-subject.pem',
  'csr-rsa2048.pem',
  'spki-ed25519-published-in-rfc9216.pem',
  'cert-p256-dual.pem',
].map(fixture)

/** Bytes of any kind, and real ones cut short or with a few bits turned over. */
const anyBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  fc
    .tuple(fc.constantFrom(...bases), fc.nat())
    .map(([base, cut]) => new Uint8Array(base.subarray(0, cut % base.length))),
  fc
    .tuple(fc.constantFrom(...bases), fc.array(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { minLength: 1, maxLength: 4 }))
    .map(([base, flips]) => {
      const bytes = new Uint8Array(base)
      for (const [at, bit] of flips) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << bit)
      return bytes
    }),
)

interface Ask {
  readonly path: string
  readonly type: string
  readonly body: Uint8Array
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** One set of bytes at every place where they may come in. */
const asks = (bytes: Uint8Array): Ask[] => [
  { path: '/v1/certificate-requests?use=dual', type: 'application/pkcs10', body: bytes },
  { path: '/v1/certificate-requests?use=sign', type: 'application/x-pem-file', body: bytes },
  { path: '/v1/certificate-requests', type: 'application/json', body: json({ csr: base64(bytes), use: 'encrypt' }) },
  { path: '/v1/public-keys', type: 'application/json', body: json({ publicKey: base64(bytes), use: 'encrypt' }) },
  { path: '/v1/public-keys', type: 'application/json', body: json({ publicKey: base64(bytes), use: 'sign' }) },
  { path: '/v1/public-keys/x/proof', type: 'application/json', body: json({ proof: base64(bytes) }) },
  { path: '/v1/key-compromise', type: 'application/json', body: json({ publicKey: base64(bytes) }) },
  { path: '/v1/key-compromise', type: 'application/json', body: json({ privateKey: base64(bytes) }) },
  { path: '/v1/registrations', type: 'application/json', body: bytes },
  { path: '/v1/lookups', type: 'application/json', body: bytes },
  { path: '/ocsp/x', type: 'application/ocsp-request', body: bytes },
]

/**
 * What such bytes may change: a mutated request can still be a good one (its subject is ignored) only if its signature
 * is, which it is not; a mutated key can be another good key and get a challenge; a private key by chance is blocked.
 */
const mayChange = new Set(['key_challenges', 'subscriber_budgets', 'unknown_keys'])

describe.each(engines)('bytes of any kind on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    await certify(alice)
    await harness.settled()
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const { service, journal, keys } = harness
    await checkService({ service, shards: journal.shards(), keys, answered: [], addresses: [] })
    await harness.close()
  })

  const send = async ({ path, type, body }: Ask): Promise<number> => {
    const answer = await harness.ask(path, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${alice.credential}`,
        'Content-Type': type,
        'Content-Length': String(body.length),
      },
      body: new Uint8Array(body),
    })
    await answer.arrayBuffer()
    return answer.status
  }

  test('cause no failure on this side, and change only what they may', async () => {
    const before = await countRows(harness.main)
    await fc.assert(
      fc.asyncProperty(anyBytes, async (bytes) => {
        for (const ask of asks(bytes)) {
          const status = await send(ask)
          expect(`${ask.path} ${status < 500}`).toBe(`${ask.path} true`)
        }
      }),
      { numRuns: engine === 'sqlite' ? runs(400) : 25 },
    )
    await harness.settled()
    const after = await countRows(harness.main)
    expect(changedTables(before, after).filter((table) => !mayChange.has(table))).toEqual([])
    expect(harness.log.filter((line) => line.includes('"level":"error"'))).toEqual([])
  })
})
