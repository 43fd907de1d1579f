import { z } from 'zod'
import { estFacts, type EstSettings } from '../../../api/ca-kinds/est.ts'
import { DomainError } from '../../../errors.ts'
import type { Certificate } from '../../../pki/certificate.ts'
import { sha256Hex, toBase64 } from '../../../pki/encoding.ts'
import { readCertificates } from '../../../pki/pem.ts'
import type { ClientCertificate, OutgoingHttps } from '../../../ports/outgoing-https.ts'
import type { Clock } from '../../../ports/runtime.ts'
import type { CaAdapter, CaCheck, CaOutcome, CertificateOrder } from '../contract.ts'
import { clientCertificateOf, keepClientKey } from '../client-key.ts'
import { callCa, kindOfAnswer, nameSaid, type CaAnswer, type CaEndpoint, notReady } from '../endpoint.ts'
import { clientKeyFields, defineKind, requireNoSecret, secretFor } from '../kind.ts'
import { readCaCertificates, readEnrolment, wordsOf } from './answers.ts'

interface EstDeps {
  readonly outgoing: OutgoingHttps
  readonly clock: Clock
  readonly crypto: Crypto
}

/** The credentials of the connection. Only what its settings ask for is sent. */
interface EstCredentials {
  readonly password: { readonly user: string; readonly password: string } | null
  readonly clientCertificate: ClientCertificate | null
}

/** The label of RFC 7030 section 3.2.2. It is one segment of a path and needs no encoding. */
const label = /^(?!\.{1,2}$)[\w.-]{1,100}$/

/** Whether a text can be a label in an EST path. The profile of a routing rule is such a label. */
const isEstLabel = (text: string): boolean => label.test(text)

/** An empty SEQUENCE instead of a certificate request: the server judges the credential and stops. */
const noRequest = 'MAA='

const enrolmentHeaders = { 'content-type': 'application/pkcs10', 'content-transfer-encoding': 'base64' } as const

/** A limit above the number of CAs in a chain. */
const factsShown = 20

/**
 * A server of RFC 7030 (EST). Every order is a `simpleenroll`, renewals too: a `simplereenroll` needs the key of the
 * old certificate, which only the device has. The password is sent at once, not after a 401, and only over a
 * connection that nobody else can read. The profile of a rule is the label in the path.
 *
 * To ask about an order that waits at the CA, the identical request is sent (section 4.2.3). EST cannot revoke. After
 * a lost answer, only that same request can tell the outcome. Its operator must know whether the server then gives the
 * same certificate or issues another one (`answersAgain`).
 *
 * Throws DomainError: `connection_unfit`.
 */
export function createEstCa(deps: EstDeps, settings: EstSettings, credentials: EstCredentials): CaAdapter {
  const { authentication, tlsAnchors, timeoutSeconds } = settings
  const endpoint: CaEndpoint = {
    outgoing: deps.outgoing,
    url: `${settings.url}/.well-known/est`,
    tlsAnchors: tlsAnchors === null ? [] : readCertificates(tlsAnchors),
    clientCertificate: authentication === 'client-certificate' ? credentials.clientCertificate : null,
    timeoutMilliseconds: timeoutSeconds * 1_000,
  }
  const authorization = authentication === 'password' ? basic(credentials.password) : {}

  const enrol = (body: string, profile: string | null): Promise<CaAnswer> =>
    callCa(endpoint, {
      method: 'POST',
      path: `${pathOf(profile ?? settings.label)}/simpleenroll`,
      headers: { ...authorization, ...enrolmentHeaders },
      body,
    })

  const order = async (wanted: CertificateOrder, isPoll: boolean): Promise<CaOutcome> => {
    const unsent = whyNotSent(wanted)
    if (unsent !== null) return unsent
    const called = await enrol(inLines(toBase64(wanted.content)), wanted.profile)
    if (called.kind !== 'answer') return called
    const waitsFor = settings.mailboxChallenge === null ? null : 'ca_mailbox_challenge'
    return readEnrolment(called.answer, wanted.spki, { now: deps.clock(), isPoll, waitsFor })
  }

  return {
    describe: () => ({
      acceptsPublicKey: false,
      takesContentFromCsr: true,
      algorithms: ['RSA', 'EC', 'Ed25519'],
      keepsNothing: false,
      answersAgain: settings.answersAgain,
      byHand: false,
    }),
    check: async () => {
      const path = `${pathOf(settings.label)}/cacerts`
      return check(deps.crypto, await callCa(endpoint, { method: 'GET', path, headers: authorization }), () =>
        enrol(noRequest, null),
      )
    },
    submit: (wanted) => order(wanted, false),
    poll: (wanted) => order(wanted, true),
  }
}

/** RFC 7617 section 2, in UTF-8. */
function basic(password: EstCredentials['password']): Readonly<Record<string, string>> {
  if (password === null) return {}
  if (password.user.includes(':')) {
    throw new DomainError('connection_unfit', 'The user must have no colon: HTTP Basic ends the name with one.')
  }
  const pair = new TextEncoder().encode(`${password.user}:${password.password}`)
  return { authorization: `Basic ${toBase64(pair)}` }
}

const pathOf = (segment: string | null): string => (segment === null ? '' : `/${segment}`)

/** In lines, as RFC 7030 appendix A.3 shows it, because some decoders take no longer ones. */
const inLines = (base64: string): string => `${base64.replaceAll(/.{64}(?=.)/g, '$&\r\n')}\r\n`

function whyNotSent({ provedBy, profile }: CertificateOrder): CaOutcome | null {
  if (provedBy !== 'csr') {
    return {
      kind: 'permanent',
      failure: 'request_refused',
      caSaid: 'not sent: EST certifies certificate requests only',
    }
  }
  if (profile === null || isEstLabel(profile)) return null
  return { kind: 'permanent', failure: 'profile_refused', caSaid: 'not sent: the profile is no label of an EST path' }
}

/**
 * Reads the CA's certificates, which a server shows to anybody. Then checks with an invalid request whether the server
 * lets this service in. Only a refusal of the credential counts there, because servers answer an invalid request in
 * different ways.
 */
async function check(crypto: Crypto, shown: CaAnswer, tryCredential: () => Promise<CaAnswer>): Promise<CaCheck> {
  if (shown.kind !== 'answer') return notReady(shown)
  const { status } = shown.answer
  // Only RFC 7030 section 4.2.3 has words for a refusal: whatever answers here may be another server.
  const caSaid = kindOfAnswer(shown.answer)
  if (status === 401 || status === 403) return notReady({ failure: 'credential_refused', caSaid })
  if (status !== 200) return notReady({ failure: 'ca_error', caSaid })
  const certificates = readCaCertificates(shown.answer)
  if (certificates === null) return notReady({ failure: 'answer_malformed', caSaid })

  const tried = await tryCredential()
  if (tried.kind !== 'answer') return notReady(tried)
  if (tried.answer.status === 401 || tried.answer.status === 403) {
    return notReady({ failure: 'credential_refused', caSaid: wordsOf(tried.answer) })
  }
  if (tried.answer.status === 404) return notReady({ failure: 'ca_error', caSaid: wordsOf(tried.answer) })
  return { kind: 'ready', facts: await factsOf(crypto, certificates), issuers: certificates.map(({ der }) => der) }
}

async function factsOf(crypto: Crypto, certificates: readonly Certificate[]): Promise<Record<string, string>> {
  const named = certificates.slice(0, factsShown).map(async ({ der, subject }, position) => {
    const [name, fingerprint] = [nameSaid(subject), await sha256Hex(crypto, der)]
    return [
      [`ca${position + 1}`, name],
      [`ca${position + 1}Sha256`, fingerprint],
    ] as const
  })
  return Object.fromEntries((await Promise.all(named)).flat())
}

export const est = defineKind({
  ...estFacts,
  credentials: z.strictObject({
    ...clientKeyFields,
    password: z.strictObject({ user: z.string(), password: z.string() }).optional(),
  }),
  nextCredentials: async ({ crypto }, request, before) => {
    if (request.authentication === 'client-certificate') {
      requireNoSecret('password', request.password)
      return keepClientKey(crypto, before?.credentials)
    }
    const kept = before && { ...before.settings, kept: before.credentials.password }
    return { password: secretFor('password', { ...request, sent: request.password }, kept) }
  },
  create: (deps, settings, credentials) =>
    createEstCa(deps, settings, {
      password: credentials.password ?? null,
      clientCertificate: clientCertificateOf(credentials),
    }),
  refuseProfile: (profile) =>
    isEstLabel(profile) ? null : 'The profile must be a label of an EST path: letters, digits, dots, hyphens.',
})
