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
import { callCa, nameSaid, type CaAnswer, type CaEndpoint, notReady } from '../endpoint.ts'
import { clientKeyFields, defineKind, requireNoSecret, secretFor } from '../kind.ts'
import { readCaCertificates, readEnrolment, wordsOf } from './answers.ts'

interface EstDeps {
  readonly outgoing: OutgoingHttps
  readonly clock: Clock
  readonly crypto: Crypto
}

/** How the connection proves itself; what its settings do not ask for is not shown. */
interface EstCredentials {
  readonly password: { readonly user: string; readonly password: string } | null
  readonly clientCertificate: ClientCertificate | null
}

/** The label of RFC 7030 section 3.2.2, as one segment of the path that is what it says. */
const label = /^(?!\.{1,2}$)[\w.-]{1,100}$/

/** Whether a text can be the label of an EST path, which is what a routing rule's profile is here. */
const isEstLabel = (text: string): boolean => label.test(text)

/** No certificate request, so that the server judges the credential and goes no further: an empty SEQUENCE. */
const noRequest = 'MAA='

const enrolmentHeaders = { 'content-type': 'application/pkcs10', 'content-transfer-encoding': 'base64' } as const

/** More than a CA has above it. */
const factsShown = 20

/**
 * A server of RFC 7030 (EST). Every order is a `simpleenroll`, renewals too: a `simplereenroll` is authenticated with
 * the key of the old certificate, which only the device has. The password is sent along at once rather than after a
 * 401, and only where the connection is one that nobody else reads. The profile that a rule names is the label of the
 * path.
 *
 * What waits at the CA is asked for by the identical request (section 4.2.3). EST has no way to revoke, and none to
 * learn what became of an order whose answer was lost but that same request: whether the server then gives the
 * certificate that it issued or issues another one, its operator has to know (`answersAgain`).
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

/** As RFC 7030 appendix A.3 shows it, and as decoders want it that take no longer lines. */
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
 * The CA's certificates, which a server shows to anybody; then whether it lets this service in, with what is no request.
 * Only its refusal of the credential counts there: how a server calls what it cannot read is its own affair.
 */
async function check(crypto: Crypto, shown: CaAnswer, tryCredential: () => Promise<CaAnswer>): Promise<CaCheck> {
  if (shown.kind !== 'answer') return notReady(shown)
  const { status } = shown.answer
  const caSaid = wordsOf(shown.answer)
  if (status === 401 || status === 403) return notReady({ failure: 'credential_refused', caSaid })
  if (status !== 200) return notReady({ failure: 'ca_error', caSaid: caSaid ?? `HTTP status ${status}` })
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
