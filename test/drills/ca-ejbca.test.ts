import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { EjbcaSettings } from '../../src/api/ca-kinds/ejbca.ts'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import type { CaAdapter, CertificateOrder } from '../../src/cas/adapters/contract.ts'
import { createEjbcaCa } from '../../src/cas/adapters/ejbca/ejbca.ts'
import { orderChain } from '../../src/pki/order-chain.ts'
import { verifyIssuedCertificate } from '../../src/pki/verify-issued.ts'
import { describeCaAdapter } from '../support/ca-contract.ts'
import { makeOrder, type OrderWanted } from '../support/ca-order.ts'
import { startEjbcaStub, type EjbcaMood, type EjbcaStub } from '../support/ejbca-stub.ts'
import { toPem } from '../support/pem.ts'
import { makeTestCa } from '../support/test-ca.ts'
import { outgoingHere } from '../support/this-machine.ts'

const minute = 60_000
const usual: EjbcaMood = {
  offline: null,
  approval: null,
  afterSigning: 'answer',
  search: 'answers',
  portal: false,
  camelCase: false,
  revocation: 'answers',
}

function settingsOf(stub: EjbcaStub, changed: Partial<EjbcaSettings> = {}): EjbcaSettings {
  const made = caConnectionRequest.parse({
    kind: 'ejbca',
    name: 'EJBCA',
    recipient: 'Example AG',
    anchors: toPem('CERTIFICATE', stub.ca.root),
    url: stub.url,
    tlsAnchors: toPem('CERTIFICATE', stub.ca.root),
    certificateProfile: 'SMIME',
    endEntityProfile: stub.names.endEntityProfile,
    certificateAuthority: stub.names.ca,
    authentication: 'token',
  })
  if (made.kind !== 'ejbca') throw new Error('another kind')
  return { ...made, ...changed }
}

describeCaAdapter('EJBCA', {
  start: async () => {
    const stub = await startEjbcaStub()
    const foreign = await makeTestCa('Foreign')
    const enrolmentSecret = crypto.getRandomValues(new Uint8Array(32))
    // Each look at the clock is later than the server's transactions last.
    let time = Date.now()
    const clock = (): number => (time += 11 * minute)
    return {
      url: stub.url,
      trust: stub.ca.trust,
      adapter: ({ url, credentials, tlsAnchors, timeoutSeconds = 30 }) => {
        const changed = tlsAnchors === 'foreign' ? { tlsAnchors: toPem('CERTIFICATE', foreign.root) } : {}
        const settings = settingsOf(stub, { url, timeoutSeconds, ...changed })
        const token = credentials === 'wrong' ? 'another' : stub.token
        const deps = { outgoing: outgoingHere(), clock, crypto }
        return createEjbcaCa(deps, settings, { token, clientCertificate: null, enrolmentSecret })
      },
      issued: () => [...stub.issued().values()].reduce((sum, count) => sum + count, 0),
      stop: () => stub.close(),
    }
  },
  orders: [{}, { use: 'sign', profile: 'SMIME-sign' }, { key: 'Ed25519', use: 'sign', profile: 'SMIME-sign' }],
  refused: [
    { order: { key: 'RSA-2048' }, failure: 'key_refused' },
    { order: { profile: 'Other' }, failure: 'profile_refused' },
  ],
  network: { tls: true, credentials: true },
  submits: 'issued',
  revokes: { strangers: 'permanent', credentials: true },
  finds: true,
})

describe('EJBCA', () => {
  let stub: EjbcaStub
  let clock = Date.now()
  const secret = crypto.getRandomValues(new Uint8Array(32))

  beforeAll(async () => {
    stub = await startEjbcaStub()
  })
  afterAll(() => stub.close())
  beforeEach(() => {
    Object.assign(stub.mood, usual)
    stub.decide('rejected')
    clock = Date.now()
  })

  const adapter = (changed: Partial<EjbcaSettings> = {}, token: string | null = stub.token): CaAdapter =>
    createEjbcaCa({ outgoing: outgoingHere(), clock: () => clock, crypto }, settingsOf(stub, changed), {
      token,
      clientCertificate: { chain: stub.client.chain, privateKey: stub.client.privateKey },
      enrolmentSecret: secret,
    })
  let made = 0
  const order = async (wanted: OrderWanted = {}): Promise<CertificateOrder> => ({
    ...(await makeOrder(wanted)),
    request: `request-${made++}`,
  })
  const countOf = ({ request }: CertificateOrder): number => stub.issued().get(`certbook-${request}`) ?? 0
  const poll = (ca: CaAdapter, asked: CertificateOrder, state: string | null) => ca.poll?.(asked, state)
  const find = (ca: CaAdapter, asked: CertificateOrder, state: string | null) => ca.find?.(asked, state)

  /** Whether what came of an order may be kept, with its chain. */
  const faultOf = async (asked: CertificateOrder, outcome: Awaited<ReturnType<typeof find>>) => {
    if (outcome?.kind !== 'issued') return outcome
    const anchors = [stub.ca.root]
    const { certificate } = outcome
    const chain = await orderChain(crypto, certificate, { anchors, intermediates: [] }, outcome.chain)
    const verdict = await verifyIssuedCertificate(crypto, { ...asked, certificate, chain, anchors, at: new Date() })
    return verdict.ok ? null : verdict.reason
  }

  describe('an order', () => {
    test.each([
      { use: 'dual' },
      { use: 'sign', profile: 'SMIME-sign' },
      { key: 'Ed25519', use: 'sign', profile: 'SMIME-sign' },
    ] as const)('brings a certificate with its chain: %o', async (wanted) => {
      const asked = await order(wanted)
      expect(await faultOf(asked, await adapter().submit(asked))).toBeNull()
      expect(countOf(asked)).toBe(1)
    })

    test('goes in with a TLS client certificate as well', async () => {
      const asked = await order()
      const ca = adapter({ authentication: 'client-certificate' }, null)
      expect(await faultOf(asked, await ca.submit(asked))).toBeNull()
    })

    test('has an end entity of its own, with a password that is the same each time and of no other', async () => {
      const [first, second] = [await order(), await order()]
      stub.mood.offline = 503
      for (const asked of [first, first, second]) await adapter().submit(asked)
      const [once, again, other] = stub.enrolments.slice(-3)
      expect(once?.username).toBe(`certbook-${first.request}`)
      expect(once?.password).toMatch(/^[0-9a-f]{64}$/)
      expect(again?.password).toBe(once?.password)
      expect(other?.password).not.toBe(once?.password)
      expect(once?.email).toBe('alice@example.com')
    })

    test('for a mailbox that is not ASCII names no e-mail address', async () => {
      const asked = await order({ address: 'jürgen@example.com' })
      await adapter().submit(asked)
      expect(stub.enrolments.at(-1)?.email).toBeUndefined()
    })

    test('with a key that the CA does not take is refused for good', async () => {
      const asked = await order({ key: 'RSA-2048' })
      expect(await adapter().submit(asked)).toMatchObject({ kind: 'permanent', failure: 'key_refused' })
    })

    test('under a profile that only the rule names, and the CA does not know, is refused for good', async () => {
      const asked = await order({ profile: 'Other' })
      expect(await adapter().submit(asked)).toMatchObject({ kind: 'permanent', failure: 'profile_refused' })
    })

    test('waits where the connection names what the CA does not know', async () => {
      const asked = await order()
      const outcome = await adapter({ certificateAuthority: 'Other' }).submit(asked)
      expect(outcome).toMatchObject({ kind: 'transient', failure: 'profile_refused' })
    })

    test.each([503, 400] as const)('waits while the token of the CA is offline, said with %i', async (status) => {
      stub.mood.offline = status
      const asked = await order()
      expect(await adapter().submit(asked)).toMatchObject({ kind: 'transient', failure: 'ca_offline' })
      stub.mood.offline = null
      expect(await faultOf(asked, await adapter().submit(asked))).toBeNull()
      expect(countOf(asked)).toBe(1)
    })

    test('waits where the credential is refused', async () => {
      const asked = await order()
      expect(await adapter({}, 'another').submit(asked)).toMatchObject({
        kind: 'transient',
        failure: 'credential_refused',
      })
    })

    test('waits where there is no EJBCA at that URL', async () => {
      const outcome = await adapter({ url: `${stub.url}/elsewhere` }).submit(await order())
      expect(outcome).toMatchObject({ kind: 'transient', failure: 'ca_error' })
    })

    test.each([500, 400] as const)('that went wrong after the signature, with %i, is found at once', async (status) => {
      stub.mood.afterSigning = status
      const asked = await order()
      expect(await faultOf(asked, await adapter().submit(asked))).toBeNull()
      expect(countOf(asked)).toBe(1)
    })
  })

  describe('an order whose answer was lost', () => {
    test.each(['cut off', 'html', 'gateway timeout'] as const)(
      'after the signature (%s) is found, and not repeated',
      async (how) => {
        stub.mood.afterSigning = how
        const asked = await order()
        const outcome = await adapter().submit(asked)
        expect(outcome).toMatchObject({ kind: 'unknown' })
        const state = outcome.kind === 'unknown' ? (outcome.state ?? null) : null
        expect(await faultOf(asked, await find(adapter(), asked, state))).toBeNull()
        expect(countOf(asked)).toBe(1)
      },
    )

    test('is absent only once the server cannot be at work on it any more', async () => {
      stub.mood.portal = true
      const asked = await order()
      const outcome = await adapter().submit(asked)
      expect(outcome).toMatchObject({ kind: 'unknown', failure: 'answer_malformed' })
      const state = outcome.kind === 'unknown' ? (outcome.state ?? null) : null
      stub.mood.portal = false
      expect(await find(adapter(), asked, state)).toMatchObject({ kind: 'unknown', state })
      clock += 9 * minute
      expect(await find(adapter(), asked, state)).toMatchObject({ kind: 'unknown', state })
      clock += minute
      expect(await find(adapter(), asked, state)).toEqual({ kind: 'absent' })
    })

    test('with the worker that sent it is absent only after the same time', async () => {
      const asked = await order()
      const outcome = await find(adapter(), asked, null)
      expect(outcome).toMatchObject({ kind: 'unknown' })
      const state = outcome?.kind === 'unknown' ? (outcome.state ?? null) : null
      clock += 10 * minute
      expect(await find(adapter(), asked, state)).toEqual({ kind: 'absent' })
    })

    test('that nobody wants any more ends where nothing came of it', async () => {
      const asked = await order()
      const state = `sent ${clock - 10 * minute}`
      expect(await poll(adapter(), asked, state)).toMatchObject({ kind: 'permanent', failure: 'unknown_to_ca' })
      expect(await poll(adapter(), asked, `sent ${clock}`)).toMatchObject({ kind: 'unknown' })
      stub.mood.afterSigning = 'cut off'
      await adapter().submit(asked)
      expect(await faultOf(asked, await poll(adapter(), asked, state))).toBeNull()
    })

    test.each(['blind', 'missing', 'forbidden', 'other keys'] as const)(
      'is never absent where the search is no help: %s',
      async (search) => {
        stub.mood.search = search
        expect(await find(adapter(), await order(), `sent ${clock - 60 * minute}`)).toMatchObject({ kind: 'unknown' })
      },
    )

    test('is never absent where the CA cannot be asked', async () => {
      const nobody = adapter({ url: 'https://127.0.0.1:1' })
      expect(await find(nobody, await order(), `sent ${clock - 60 * minute}`)).toMatchObject({ kind: 'unknown' })
    })

    test('is not refused for good by an answer that no search confirms', async () => {
      stub.mood.search = 'missing'
      const outcome = await adapter().submit(await order({ key: 'RSA-2048' }))
      expect(outcome).toMatchObject({ kind: 'unknown', failure: 'key_refused' })
    })

    test.each([null, 'SMIME-sign'])(
      'after the signature is no refusal, whatever its words sound like (%s)',
      async (profile) => {
        stub.mood.search = 'missing'
        stub.mood.afterSigning = 500
        const asked = await order({ profile, ...(profile === null ? {} : { use: 'sign' }) })
        expect(await adapter().submit(asked)).toMatchObject({ kind: 'unknown' })
        expect(countOf(asked)).toBe(1)
      },
    )
  })

  describe('an order that wants an approval at the CA', () => {
    const approved = async (spelling: EjbcaMood['approval'], camelCase = false) => {
      Object.assign(stub.mood, { approval: spelling, camelCase })
      const asked = await order()
      const outcome = await adapter().submit(asked)
      if (outcome.kind !== 'pending') throw new Error(`it is ${outcome.kind}`)
      return { asked, state: outcome.state }
    }

    test.each(['requestId', 'request_id', 'link'] as const)(
      'waits, and is fetched by its number (%s)',
      async (spelling) => {
        const { asked, state } = await approved(spelling)
        expect(await poll(adapter(), asked, state)).toMatchObject({ kind: 'pending', state })
        expect(countOf(asked)).toBe(0)
        stub.decide('approved')
        expect(await faultOf(asked, await poll(adapter(), asked, state))).toBeNull()
        expect(countOf(asked)).toBe(1)
      },
    )

    test('is read in camelCase throughout', async () => {
      const { asked, state } = await approved('request_id', true)
      stub.decide('approved')
      expect(await faultOf(asked, await poll(adapter(), asked, state))).toBeNull()
    })

    test('without any number is unknown, and a second one is not put beside it', async () => {
      stub.mood.approval = 'nothing'
      const asked = await order()
      expect(await adapter().submit(asked)).toMatchObject({ kind: 'unknown', failure: 'answer_malformed' })
      const again = await adapter().submit(asked)
      expect(again).toMatchObject({ kind: 'unknown', failure: 'busy' })
      const state = again.kind === 'unknown' ? (again.state ?? null) : null
      clock += 60 * minute
      expect(await find(adapter(), asked, state)).toMatchObject({ kind: 'unknown' })
    })

    test.each([
      ['rejected', 'rejected_by_ca'],
      ['expired', 'expired_at_ca'],
      ['failed', 'request_refused'],
    ] as const)('that is %s there ends for good', async (outcome, failure) => {
      const { asked, state } = await approved('request_id')
      stub.decide(outcome)
      expect(await poll(adapter(), asked, state)).toMatchObject({ kind: 'permanent', failure })
    })

    test('that was fetched before, and lost, is found', async () => {
      const { asked, state } = await approved('request_id')
      stub.decide('approved')
      stub.mood.afterSigning = 'cut off'
      expect(await poll(adapter(), asked, state)).toMatchObject({ kind: 'unknown', state })
      stub.mood.afterSigning = 'answer'
      expect(await faultOf(asked, await poll(adapter(), asked, state))).toBeNull()
      expect(await faultOf(asked, await find(adapter(), asked, state))).toBeNull()
      expect(countOf(asked)).toBe(1)
    })

    test.each([503, 400] as const)('waits on while the token is offline, said with %i', async (status) => {
      const { asked, state } = await approved('request_id')
      stub.decide('approved')
      stub.mood.offline = status
      expect(await poll(adapter(), asked, state)).toMatchObject({ kind: 'transient', failure: 'ca_offline' })
      stub.mood.offline = null
      expect(await faultOf(asked, await poll(adapter(), asked, state))).toBeNull()
    })

    test('waits on where its outcome is looked for, however long ago it was sent', async () => {
      const { asked, state } = await approved('request_id')
      clock += 60 * minute
      expect(await find(adapter(), asked, state)).toMatchObject({ kind: 'pending', state })
    })

    test('says that the person has something to do where the CA asks the mailbox itself', async () => {
      stub.mood.approval = 'request_id'
      const ca = adapter({ mailboxChallenge: { sender: 'ca@ca.example' } })
      expect(await ca.submit(await order())).toMatchObject({ kind: 'pending', waitsFor: 'ca_mailbox_challenge' })
    })
  })

  describe('a revocation', () => {
    const certified = async () => {
      const asked = await order()
      const outcome = await adapter().submit(asked)
      if (outcome.kind !== 'issued') throw new Error(`it is ${outcome.kind}`)
      return outcome.certificate
    }
    const revoke = (ca: CaAdapter, certificate: Uint8Array) => ca.revoke?.({ certificate, reason: 'keyCompromise' })

    test('is confirmed, with its reason, and a repeat is too', async () => {
      const certificate = await certified()
      expect(await revoke(adapter(), certificate)).toEqual({ kind: 'confirmed' })
      expect([...stub.revoked.values()].at(-1)).toBe('KEY_COMPROMISE')
      expect(await revoke(adapter(), certificate)).toEqual({ kind: 'confirmed' })
    })

    test('that gives no reason says so', async () => {
      const certificate = await certified()
      expect(await adapter().revoke?.({ certificate, reason: null })).toEqual({ kind: 'confirmed' })
      expect([...stub.revoked.values()].at(-1)).toBe('UNSPECIFIED')
    })

    test('of a certificate that the CA does not know has to be seen to', async () => {
      const certificate = await stub.ca.issue({ spki: (await order()).spki, names: 'alice@example.com' })
      expect(await revoke(adapter(), certificate)).toMatchObject({ kind: 'permanent', failure: 'unknown_to_ca' })
    })

    test.each([
      ['wants an approval there', { revocation: 'wants approval' }, 'busy'],
      ['meets a login page', { portal: true }, 'answer_malformed'],
    ] as const)('is not confirmed where it %s', async (_how, mood, failure) => {
      const certificate = await certified()
      Object.assign(stub.mood, mood)
      expect(await revoke(adapter(), certificate)).toMatchObject({ kind: 'transient', failure })
    })

    test('is not confirmed where the credential is refused, or there is nobody', async () => {
      const certificate = await certified()
      expect(await revoke(adapter({}, 'another'), certificate)).toMatchObject({
        kind: 'transient',
        failure: 'credential_refused',
      })
      expect(await revoke(adapter({ url: 'https://127.0.0.1:1' }), certificate)).toMatchObject({
        kind: 'transient',
        failure: 'unreachable',
      })
    })
  })

  describe('a look at it', () => {
    test('tells what is there, and leaves nothing behind', async () => {
      const before = stub.enrolments.length
      expect(await adapter().check()).toEqual({
        kind: 'ready',
        facts: {
          interface: '1.0',
          server: 'EJBCA 9.0 (stub)',
          certificateAuthority: 'MailCA',
          endEntityProfile: 'Mail',
          certificateProfile: 'SMIME',
        },
      })
      expect(stub.enrolments.length).toBe(before)
    })

    test.each([
      [{ certificateAuthority: 'Other' }, 'profile_refused'],
      [{ endEntityProfile: 'Other' }, 'profile_refused'],
      [{ certificateProfile: 'Other' }, 'profile_refused'],
    ] as const)('is not ready with %o', async (changed, failure) => {
      expect(await adapter(changed).check()).toMatchObject({ kind: 'not_ready', failure })
    })

    test('is not ready with a credential that is refused, behind a portal, and where there is nothing', async () => {
      expect(await adapter({}, null).check()).toMatchObject({ kind: 'not_ready', failure: 'credential_refused' })
      expect(await adapter({ url: `${stub.url}/elsewhere` }).check()).toMatchObject({
        kind: 'not_ready',
        failure: 'ca_error',
      })
      stub.mood.portal = true
      expect(await adapter().check()).toMatchObject({ kind: 'not_ready', failure: 'answer_malformed' })
    })
  })
})
