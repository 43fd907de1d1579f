import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CaAdapter, CaFailure, CaOutcome, CaTrust, CertificateOrder } from '../../src/cas/adapters/contract.ts'
import { makeOrder, type OrderWanted } from './ca-order.ts'
import { verdict } from './ca-verdict.ts'
import { startLossyProxy, type LossyProxy } from './lossy-proxy.ts'
import { nonsense } from './nonsense.ts'
import { answerBytes } from './odd-servers.ts'

/** How an adapter is to be set up; what is not said is right. */
export interface AdapterSetting {
  /** `http://127.0.0.1:1234`: of the CA, of a proxy before it, or of a server that answers nonsense. */
  readonly url: string
  readonly credentials?: 'right' | 'wrong'
  /** `foreign`: those of somebody else. Means nothing without TLS. */
  readonly tlsAnchors?: 'right' | 'foreign'
  readonly timeoutSeconds?: number
}

/** A CA that runs for a suite. */
export interface RunningCa {
  /** Of the CA itself; empty where there is no network between. */
  readonly url: string
  /** Whom a connection to it would trust. */
  readonly trust: CaTrust
  adapter(setting: AdapterSetting): CaAdapter | Promise<CaAdapter>
  /** How many certificates the CA has issued, by its own records. */
  issued(): number | Promise<number>
  /** Lets the CA answer what it holds as pending. */
  decide?(): void | Promise<void>
  stop(): Promise<void>
}

/** What a CA and its adapter can do, as data. */
export interface CaUnderTest {
  /** Called once, before all tests. */
  readonly start: () => Promise<RunningCa>
  /** Orders that the CA serves, one test each: keys, uses, and the CA's own profiles for them. */
  readonly orders: readonly OrderWanted[]
  /** Orders that it, or the adapter, refuses for good, and why. */
  readonly refused: readonly { readonly order: OrderWanted; readonly failure: CaFailure }[]
  /** Null where nothing goes over the network. */
  readonly network: {
    readonly tls: boolean
    /** Whether there is a credential that can be wrong. */
    readonly credentials: boolean
    /**
     * Whether the credential is a client certificate: then the request is sent only once the server has let it in, and
     * a connection that ends with the handshake has certainly carried none.
     */
    readonly clientCertificate?: boolean
  } | null
  /**
   * `issued`: at once. `pending`: only after `decide`, and then to `poll`. `never`: a person brings the certificate.
   */
  readonly submits: 'issued' | 'pending' | 'never'
  /**
   * What revoking needs and tells: null where the adapter does not revoke. `strangers` is what comes of a certificate
   * that another CA issued; `credentials` whether a wrong credential is turned down.
   */
  readonly revokes: { readonly strangers: 'confirmed' | 'permanent'; readonly credentials: boolean } | null
  /** Whether `find` tells what became of an order whose answer was lost. */
  readonly finds: boolean
}

const titleOf = ({ key = 'P-256', use = 'dual', profile = null, address }: OrderWanted): string =>
  `${key} to ${use}${profile === null ? '' : ` under ${profile}`}${address === undefined ? '' : ` for ${address}`}`

/** Shows that an adapter keeps the contract of `src/cas/adapters/contract.ts`, against a CA that is really there. */
export function describeCaAdapter(name: string, under: CaUnderTest): void {
  describe(`the contract of CA adapters: ${name}`, () => {
    let ca: RunningCa
    let adapter: CaAdapter
    const first = under.orders[0] ?? {}

    beforeAll(async () => {
      ca = await under.start()
      adapter = await ca.adapter({ url: ca.url })
    })
    afterAll(async () => await ca.stop())

    /** Orders something, and resolves to what came of it and to how many certificates the CA has issued since. */
    const order = async (by: CaAdapter, wanted: OrderWanted = first): Promise<Ordered> => {
      const before = await ca.issued()
      const ordered = await makeOrder(wanted)
      const outcome = await by.submit(ordered)
      return { ordered, outcome, issuedSince: async () => (await ca.issued()) - before }
    }

    const decided = async (ordered: CertificateOrder, outcome: CaOutcome): Promise<CaOutcome> => {
      if (outcome.kind !== 'pending' || adapter.poll === undefined) return outcome
      await ca.decide?.()
      return await adapter.poll(ordered, outcome.state)
    }

    const issue = async (wanted: OrderWanted = first): Promise<Uint8Array> => {
      const { ordered, outcome } = await order(adapter, wanted)
      return certificateOf(await decided(ordered, outcome))
    }

    test('says what it can do as it is there to do it', () => {
      expect(adapter.describe().acceptsPublicKey).toBeTypeOf('boolean')
      expect(adapter.revoke !== undefined).toBe(under.revokes !== null)
      expect(adapter.find !== undefined).toBe(under.finds)
      expect(adapter.describe().byHand).toBe(under.submits === 'never')
      for (const { key = 'P-256' } of under.orders) {
        expect(adapter.describe().algorithms).toContain(key.startsWith('P-') ? 'EC' : key.replace(/-\d+$/, ''))
      }
    })

    test('is ready, and looking leaves nothing behind', async () => {
      const before = await ca.issued()
      expect(await adapter.check()).toMatchObject({ kind: 'ready' })
      expect(await ca.issued()).toBe(before)
    })

    test.each(under.orders.map((wanted) => [titleOf(wanted), wanted] as const))('%s', async (_, wanted) => {
      const { ordered, outcome, issuedSince } = await order(adapter, wanted)
      if (under.submits !== 'issued') expect(outcome).toMatchObject({ kind: 'pending' })
      if (under.submits === 'never') return
      const final = await decided(ordered, outcome)
      expect(final).toMatchObject({ kind: 'issued' })
      expect(await verdict(ca.trust, ordered, final)).toMatchObject({ ok: true })
      expect(await issuedSince()).toBe(1)
    })

    if (under.refused.length > 0) {
      test.each(under.refused.map((one) => [titleOf(one.order), one.failure, one.order] as const))(
        'refuses for good: %s (%s)',
        async (_, failure, wanted) => {
          const { outcome, issuedSince } = await order(adapter, wanted)
          expect(outcome).toMatchObject({ kind: 'permanent', failure })
          expect(await issuedSince()).toBe(0)
        },
      )
    }

    test('a bare public key where a request is needed is refused for good, and nothing is issued', async () => {
      if (adapter.describe().acceptsPublicKey) return
      const before = await ca.issued()
      const ordered = await makeOrder(first)
      const outcome = await adapter.submit({ ...ordered, provedBy: 'public_key', content: ordered.spki })
      expect(outcome).toMatchObject({ kind: 'permanent', failure: 'request_refused' })
      expect(await ca.issued()).toBe(before)
    })

    if (under.revokes !== null) {
      const { strangers } = under.revokes
      test.each(['keyCompromise', 'superseded', null] as const)(
        'revokes (%s), and once more for who did not hear of it',
        async (reason) => {
          const certificate = await issue()
          expect(await adapter.revoke?.({ certificate, reason })).toEqual({ kind: 'confirmed' })
          expect(await adapter.revoke?.({ certificate, reason })).toEqual({ kind: 'confirmed' })
        },
      )

      test('a certificate of another CA is not revoked as if it were its own', async () => {
        const elsewhere = await under.start()
        try {
          const stranger = await elsewhere.adapter({ url: elsewhere.url })
          const ordered = await makeOrder(first)
          const outcome = await stranger.submit(ordered)
          if (outcome.kind === 'pending') await elsewhere.decide?.()
          const final = outcome.kind === 'pending' ? await stranger.poll?.(ordered, outcome.state) : outcome
          const certificate = certificateOf(final)
          const failure = strangers === 'permanent' ? { failure: 'unknown_to_ca' } : {}
          const revoked = await adapter.revoke?.({ certificate, reason: 'superseded' })
          expect(revoked).toMatchObject({ kind: strangers, ...failure })
        } finally {
          await elsewhere.stop()
        }
      })
    }

    if (under.network?.credentials === true) {
      test('a wrong credential can be set right: nothing is issued, and the order waits', async () => {
        const wrong = await ca.adapter({ url: ca.url, credentials: 'wrong' })
        expect(await wrong.check()).toMatchObject({ kind: 'not_ready', failure: 'credential_refused' })
        const { outcome, issuedSince } = await order(wrong)
        expect(outcome).toMatchObject({ kind: 'transient', failure: 'credential_refused' })
        expect(await issuedSince()).toBe(0)
        if (under.revokes?.credentials !== true) return
        const revoked = await wrong.revoke?.({ certificate: await issue(), reason: null })
        expect(revoked).toMatchObject({ kind: 'transient', failure: 'credential_refused' })
      })
    }

    if (under.network?.tls === true) {
      test('a server that TLS does not know is sent nothing', async () => {
        const distrusting = await ca.adapter({ url: ca.url, tlsAnchors: 'foreign' })
        expect(await distrusting.check()).toMatchObject({ kind: 'not_ready', failure: 'tls_refused' })
        const { outcome, issuedSince } = await order(distrusting)
        expect(outcome).toMatchObject({ kind: 'transient', failure: 'tls_refused' })
        expect(await issuedSince()).toBe(0)
      })
    }

    if (under.network !== null) {
      describe('with a network between that loses things', () => {
        let proxy: LossyProxy
        let proxied: CaAdapter
        const issuedAtOnce = under.submits === 'issued' ? 1 : 0

        beforeAll(async () => {
          proxy = await startLossyProxy(Number(new URL(ca.url).port))
          proxied = await ca.adapter({ url: ca.url.replace(/:\d+/, `:${proxy.port}`) })
        })
        afterAll(async () => await proxy.close())

        test('the proxy itself loses nothing', async () => {
          await proxy.behave('pass')
          expect(await proxied.check()).toMatchObject({ kind: 'ready' })
          const { ordered, outcome } = await order(proxied)
          expect(await decided(ordered, outcome)).toMatchObject({ kind: 'issued' })
        })

        test('nobody listens: nothing was sent, and the order waits', async () => {
          await proxy.behave('refuse')
          expect(await proxied.check()).toMatchObject({ kind: 'not_ready', failure: 'unreachable' })
          const { outcome, issuedSince } = await order(proxied)
          expect(outcome).toMatchObject({ kind: 'transient', failure: 'unreachable' })
          expect(await issuedSince()).toBe(0)
        })

        test('the request is lost: nobody can know, and nothing is issued', async () => {
          await proxy.behave('drop-request')
          const { ordered, outcome, issuedSince } = await order(proxied)
          const kind = under.network?.clientCertificate === true ? 'transient' : 'unknown'
          expect(outcome).toMatchObject({ kind, failure: 'connection_lost' })
          expect(await issuedSince()).toBe(0)
          if (!under.finds) return
          expect(await adapter.find?.(ordered, stateOf(outcome))).toEqual({ kind: 'absent' })
        })

        test.each([
          ['drop-answer', 30, ['connection_lost']],
          ['half-answer', 30, ['connection_lost', 'answer_malformed']],
          ['hang', 1, ['timed_out']],
        ] as const)(
          'the answer is lost (%s): unknown, and exactly one at the CA',
          async (fate, timeoutSeconds, failures) => {
            const url = ca.url.replace(/:\d+/, `:${proxy.port}`)
            await proxy.behave(fate)
            const { ordered, outcome, issuedSince } = await order(await ca.adapter({ url, timeoutSeconds }))
            expect(outcome).toMatchObject({ kind: 'unknown' })
            expect(failures).toContain(outcome.kind === 'unknown' ? outcome.failure : null)
            await proxy.answered(1)
            expect(await issuedSince()).toBe(issuedAtOnce)
            await recover(ordered, outcome)
            const isKnownAgain = under.finds || adapter.describe().answersAgain
            expect(await issuedSince()).toBe(isKnownAgain ? 1 : issuedAtOnce)
          },
        )

        /** What an adapter has to find an order again: it leads to the certificate, and to no second one. */
        const recover = async (ordered: CertificateOrder, outcome: CaOutcome): Promise<void> => {
          const state = stateOf(outcome)
          const again = adapter.describe().answersAgain ? await adapter.submit(ordered) : undefined
          for (const found of [again, await adapter.find?.(ordered, state)]) {
            if (found === undefined) continue
            if (found.kind === 'absent') throw new Error('the CA does not know of what it has')
            const final = await decided(ordered, found)
            expect(final).toMatchObject({ kind: 'issued' })
            expect(await verdict(ca.trust, ordered, final)).toMatchObject({ ok: true })
          }
        }

        if (under.revokes !== null) {
          test('a revocation whose answer is lost is asked for again, until it is confirmed', async () => {
            const certificate = await issue()
            await proxy.behave('refuse')
            expect(await proxied.revoke?.({ certificate, reason: null })).toMatchObject({
              kind: 'transient',
              failure: 'unreachable',
            })
            await proxy.behave('drop-answer')
            expect(await proxied.revoke?.({ certificate, reason: null })).toMatchObject({ kind: 'transient' })
            await proxy.behave('pass')
            expect(await proxied.revoke?.({ certificate, reason: null })).toEqual({ kind: 'confirmed' })
          })
        }
      })

      // Over plain HTTP on this machine, so that what is answered is all that is wrong.
      test.each(nonsense)('%s is an answer that tells nothing', async (_, answer) => {
        const server = await answerBytes(answer)
        try {
          const misled = await ca.adapter({ url: server.url })
          const { outcome, issuedSince } = await order(misled)
          expect(outcome).toMatchObject({ kind: 'unknown' })
          expect(await issuedSince()).toBe(0)
          expect(await misled.check()).toMatchObject({ kind: 'not_ready' })
        } finally {
          await server.close()
        }
      })

      if (under.revokes !== null) {
        test('no nonsense confirms a revocation', async () => {
          const certificate = await issue()
          for (const [name, answer] of nonsense) {
            const server = await answerBytes(answer)
            const misled = await ca.adapter({ url: server.url })
            // To `revoke` alone this one is an answer.
            if (name !== 'a JSON of something else') {
              expect(await misled.revoke?.({ certificate, reason: null }), name).not.toMatchObject({
                kind: 'confirmed',
              })
            }
            await server.close()
          }
        })
      }
    }
  })
}

interface Ordered {
  readonly ordered: CertificateOrder
  readonly outcome: CaOutcome
  readonly issuedSince: () => Promise<number>
}

const stateOf = (outcome: CaOutcome): string | null => ('state' in outcome ? (outcome.state ?? null) : null)

function certificateOf(outcome: CaOutcome | undefined): Uint8Array {
  if (outcome?.kind === 'issued') return outcome.certificate
  throw new Error(`not issued: ${JSON.stringify(outcome)}`)
}
