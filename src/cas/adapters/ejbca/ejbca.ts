import { z } from 'zod'
import { ejbcaFacts, type EjbcaSettings } from '../../../api/ca-kinds/ejbca.ts'
import { parseCertificate } from '../../../pki/certificate.ts'
import { toBase64, toHex } from '../../../pki/encoding.ts'
import { toPem } from '../../../pki/pem.ts'
import type { RevocationReason } from '../../../pki/revocation-reason.ts'
import type { OutgoingAnswer } from '../../../ports/outgoing-https.ts'
import type {
  CaAdapter,
  CaCheck,
  CaFailure,
  CaOutcome,
  CaRevocation,
  CaRevocationOutcome,
  CertificateOrder,
  FoundOutcome,
} from '../contract.ts'
import {
  readEnd,
  readIssued,
  readRefusal,
  readRequestId,
  saysRevoked,
  readServerStatus,
  readTurnedAway,
  type EjbcaRefusal,
} from './answers.ts'
import {
  get,
  passwordOf,
  post,
  prepareEjbca,
  put,
  unclear,
  usernameOf,
  type Ejbca,
  type EjbcaCredentials,
  type EjbcaDeps,
} from './calls.ts'
import { chainOf, issuerNameOf, ownCriteria, search, searchFor } from './search.ts'
import { clientCertificateOf, keepClientKey, secretBytes } from '../client-key.ts'
import { kindOfAnswer, retryAfterSeconds } from '../endpoint.ts'
import { clientKeyFields, defineKind, requireNoSecret, secretFor } from '../kind.ts'

/**
 * How long the server may work on an order whose answer was lost. Its transactions end after five minutes, unless it
 * is set up otherwise.
 */
const workedOnMilliseconds = 10 * 60_000

/**
 * EJBCA, through its REST interface. Each order has an end entity of its own there, with a name made from the order,
 * so its certificate can be found again. The same order sent twice would give two certificates. So a lost answer is
 * searched for, and the order never repeated. A refusal counts only when a search has found nothing: the server can
 * fail after it has signed.
 */
export function createEjbcaCa(deps: EjbcaDeps, settings: EjbcaSettings, credentials: EjbcaCredentials): CaAdapter {
  const ejbca = prepareEjbca(deps, settings, credentials)
  return {
    describe: () => ({
      acceptsPublicKey: false,
      takesContentFromCsr: settings.takesContentFromCsr,
      algorithms: ['RSA', 'EC', 'Ed25519'],
      keepsNothing: false,
      answersAgain: false,
      byHand: false,
    }),
    check: () => check(ejbca),
    submit: (order) => enrol(ejbca, order),
    poll: (order, state) => finish(ejbca, order, state),
    find: (order, state) => find(ejbca, order, state),
    revoke: (revocation) => revoke(ejbca, revocation),
  }
}

async function enrol(ejbca: Ejbca, order: CertificateOrder): Promise<CaOutcome> {
  if (order.provedBy !== 'csr') return { kind: 'permanent', failure: 'request_refused', caSaid: null }
  const { settings } = ejbca
  const called = await post(ejbca, '/v1/certificate/pkcs10enroll', {
    certificate_request: toPem('CERTIFICATE REQUEST', order.content),
    certificate_profile_name: order.profile ?? settings.certificateProfile,
    end_entity_profile_name: settings.endEntityProfile,
    certificate_authority_name: settings.certificateAuthority,
    username: usernameOf(order),
    password: await passwordOf(ejbca, order),
    ...(order.mailbox.kind === 'ascii' ? { email: order.mailbox.address } : {}),
    include_chain: true,
    response_format: 'DER',
  })
  const state = sentNow(ejbca)
  if (called.kind !== 'answer') return called.kind === 'unknown' ? { ...called, state } : called
  const { answer } = called
  if (answer.status === 202) {
    const number = readRequestId(answer)
    return number === null ? unclear('answer_malformed', null, held) : pending(ejbca, number, answer)
  }
  return (await issuedBy(ejbca, answer)) ?? (await refused(ejbca, order, answer, state))
}

/**
 * The state of an order without an outcome: the number of its approval, or when it was sent, or that only somebody at
 * the CA can find it.
 */
const sentNow = ({ deps }: Ejbca): string => `sent ${deps.clock()}`
const sentAt = (state: string): number | null => {
  const time = /^sent (\d{1,15})$/.exec(state)?.[1]
  return time === undefined ? null : Number(time)
}
const held = 'held'
const isNumber = (state: string | null): state is string => state !== null && /^-?\d{1,20}$/.test(state)

/** Asks about an order that the CA has. One with a number waits for an approval there. */
async function finish(ejbca: Ejbca, order: CertificateOrder, state: string | null): Promise<CaOutcome> {
  if (!isNumber(state)) return orNever(await find(ejbca, order, state))
  const called = await post(ejbca, `/v1/certificate/${encodeURIComponent(state)}/finalize`, {
    password: await passwordOf(ejbca, order),
    response_format: 'DER',
  })
  if (called.kind !== 'answer') return called.kind === 'unknown' ? { ...called, state } : called
  const { answer } = called
  if (answer.status === 202) return pending(ejbca, state, answer)
  return (await issuedBy(ejbca, answer)) ?? (await ended(ejbca, order, answer, state))
}

/** For a cancelled order whose outcome was unknown: if it is absent, it never comes. */
const orNever = (found: FoundOutcome): CaOutcome =>
  found.kind === 'absent' ? { kind: 'permanent', failure: 'unknown_to_ca', caSaid: null } : found

function pending(ejbca: Ejbca, number: string, answer: OutgoingAnswer | null): Extract<CaOutcome, { kind: 'pending' }> {
  return {
    kind: 'pending',
    state: number,
    retryAfterSeconds: answer === null ? null : waitAsked(ejbca, answer),
    waitsFor: ejbca.settings.mailboxChallenge === null ? null : 'ca_mailbox_challenge',
  }
}

/** The certificate of an answer. Null if it holds none. */
async function issuedBy(ejbca: Ejbca, answer: OutgoingAnswer): Promise<CaOutcome | null> {
  const issued = answer.status === 200 || answer.status === 201 ? readIssued(answer) : null
  if (issued === null) return null
  const { certificate, chain } = issued
  return { kind: 'issued', certificate, chain: chain.length > 0 ? chain : await chainOf(ejbca, certificate) }
}

/** The outcome of a refusal, once it is known whether it came before or after the signature. */
async function refused(
  ejbca: Ejbca,
  order: CertificateOrder,
  answer: OutgoingAnswer,
  state: string,
): Promise<CaOutcome> {
  const refusal = readRefusal(answer)
  if (refusal === null) {
    const turnedAway = readTurnedAway(answer)
    const failure = answer.status >= 500 ? 'ca_error' : 'answer_malformed'
    return turnedAway === null
      ? unclear(failure, kindOfAnswer(answer), state)
      : { kind: 'transient', failure: turnedAway, caSaid: null, retryAfterSeconds: waitAsked(ejbca, answer) }
  }
  return settled(ejbca, order, { ...refusal, retryAfter: waitAsked(ejbca, answer) }, state)
}

const waitAsked = (ejbca: Ejbca, answer: OutgoingAnswer): number | null => retryAfterSeconds(answer, ejbca.deps.clock())

/** Refusals from before the signature: the credential or the profile is not accepted. */
const atTheDoor: ReadonlySet<CaFailure> = new Set(['credential_refused', 'profile_refused'])

/** Searches for the order: confirms that nothing was issued, or finds what was. */
async function settled(
  ejbca: Ejbca,
  order: CertificateOrder,
  { kind, failure, caSaid, retryAfter }: EjbcaRefusal & { readonly retryAfter: number | null },
  state: string,
): Promise<CaOutcome> {
  const found = await search(ejbca, order)
  if (found.kind === 'issued') return found
  const isCertain = found.kind === 'absent' || atTheDoor.has(failure)
  if (kind === 'unknown') return unclear(failure, caSaid, held)
  if (!isCertain) return unclear(failure, caSaid, state)
  // The order keeps the profile that a rule named, so no operator can correct it for this order.
  const isFinal = kind === 'permanent' || (failure === 'profile_refused' && order.profile !== null)
  return isFinal
    ? { kind: 'permanent', failure, caSaid }
    : { kind: 'transient', failure, caSaid, retryAfterSeconds: retryAfter }
}

const ends = { rejected: 'rejected_by_ca', expired: 'expired_at_ca', failed: 'request_refused' } as const

async function ended(ejbca: Ejbca, order: CertificateOrder, answer: OutgoingAnswer, state: string): Promise<CaOutcome> {
  const refusal = readRefusal(answer)
  const end = refusal === null ? null : readEnd(refusal)
  if (refusal === null || end === null) return refused(ejbca, order, answer, state)
  if (end === 'finished_before') return settled(ejbca, order, { ...refusal, kind: 'unknown', retryAfter: null }, state)
  return settled(
    ejbca,
    order,
    { kind: 'permanent', failure: ends[end], caSaid: refusal.caSaid, retryAfter: null },
    state,
  )
}

/**
 * The outcome of an order whose answer was lost. One that waits for an approval goes on waiting. That nothing was
 * issued is certain only after the server's transactions have ended.
 */
async function find(ejbca: Ejbca, order: CertificateOrder, state: string | null): Promise<FoundOutcome> {
  const known = state ?? sentNow(ejbca)
  const found = await search(ejbca, order)
  if (found.kind === 'unknown') return { ...found, state: known }
  if (found.kind === 'issued') return found
  if (isNumber(known)) return pending(ejbca, known, null)
  const sent = sentAt(known)
  const isOver = sent !== null && ejbca.deps.clock() - sent >= workedOnMilliseconds
  return isOver ? found : unclear('unknown_to_ca', null, known)
}

/** EJBCA's names for the reasons of RFC 5280 section 5.3.1. */
const reasonNames: Readonly<Record<RevocationReason, string>> = {
  keyCompromise: 'KEY_COMPROMISE',
  affiliationChanged: 'AFFILIATION_CHANGED',
  superseded: 'SUPERSEDED',
  cessationOfOperation: 'CESSATION_OF_OPERATION',
  privilegeWithdrawn: 'PRIVILEGES_WITHDRAWN',
}

async function revoke(ejbca: Ejbca, { certificate, reason }: CaRevocation): Promise<CaRevocationOutcome> {
  const { serialNumber } = parseCertificate(certificate)
  const issuer = issuerNameOf(certificate)
  if (issuer === null) return { kind: 'permanent', failure: 'unknown_to_ca', caSaid: null }
  const name = reason === null ? 'UNSPECIFIED' : reasonNames[reason]
  const path = `/v1/certificate/${encodeURIComponent(issuer)}/${toHex(serialNumber)}/revoke?reason=${name}`
  const called = await put(ejbca, path)
  if (called.kind !== 'answer') return { ...called, kind: 'transient' }
  const { answer } = called
  const retry = { kind: 'transient', retryAfterSeconds: waitAsked(ejbca, answer) } as const
  if (answer.status === 200 && saysRevoked(answer)) return { kind: 'confirmed' }
  // It waits for an approval there.
  if (answer.status === 202) return { ...retry, failure: 'busy', caSaid: null }
  const refusal = readRefusal(answer)
  if (refusal === null) return { ...retry, failure: readTurnedAway(answer) ?? 'answer_malformed', caSaid: null }
  if (answer.status === 409) return { kind: 'confirmed' }
  const { kind, failure, caSaid } = refusal
  if (answer.status === 404 && failure !== 'ca_error') return { kind: 'permanent', failure: 'unknown_to_ca', caSaid }
  return kind === 'permanent' ? { kind, failure, caSaid } : { ...retry, failure, caSaid }
}

/**
 * Searches within this connection's CA and profiles for a name that nobody has. An answer shows that the service is
 * let in, and that CA and profiles exist.
 */
async function check(ejbca: Ejbca): Promise<CaCheck> {
  const called = await get(ejbca, '/v1/certificate/status')
  if (called.kind !== 'answer') return { kind: 'not_ready', failure: called.failure, caSaid: null }
  const facts = readServerStatus(called.answer)
  if (facts === null) {
    const refusal = readRefusal(called.answer)
    const failure = refusal?.failure ?? readTurnedAway(called.answer) ?? 'answer_malformed'
    return { kind: 'not_ready', failure, caSaid: refusal?.caSaid ?? null }
  }
  const found = await searchFor(ejbca, 'certbook-check', ownCriteria(ejbca, null))
  if (found.kind === 'unknown') return { kind: 'not_ready', failure: found.failure, caSaid: found.caSaid }
  const { certificateAuthority, endEntityProfile, certificateProfile } = ejbca.settings
  return { kind: 'ready', facts: { ...facts, certificateAuthority, endEntityProfile, certificateProfile } }
}

export const ejbca = defineKind({
  ...ejbcaFacts,
  credentials: z.strictObject({
    ...clientKeyFields,
    token: z.string().optional(),
    /** 32 bytes, base64. The passwords of its end entities are derived from them. */
    enrolmentSecret: z.string().optional(),
  }),
  nextCredentials: async ({ crypto, random }, request, before) => {
    const enrolmentSecret = before?.credentials.enrolmentSecret ?? toBase64(random.bytes(32))
    if (request.authentication === 'client-certificate') {
      requireNoSecret('token', request.token)
      return { enrolmentSecret, ...(await keepClientKey(crypto, before?.credentials)) }
    }
    const kept = before && { ...before.settings, kept: before.credentials.token }
    return { enrolmentSecret, token: secretFor('token', { ...request, sent: request.token }, kept) }
  },
  create: (deps, settings, credentials) =>
    createEjbcaCa(deps, settings, {
      token: credentials.token ?? null,
      clientCertificate: clientCertificateOf(credentials),
      enrolmentSecret: secretBytes(credentials.enrolmentSecret),
    }),
})
