import assert from 'node:assert/strict'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { makeCertificateRequest } from '../../src/pki/make-certificate-request.ts'
import type { Answer, Api, Json } from './api.ts'
import { localOperator } from './administrators.ts'
import type { CountingCa } from './counting-ca.ts'
import type { EjbcaStub } from './ejbca-stub.ts'
import type { RoomHarness } from './engines.ts'
import { toPem } from './pem.ts'
import type { Registered } from './story.ts'
import type { TestCa } from './test-ca.ts'

/** What fault drills of CA connections have in common: a CA that is connected, requests, and who can be held to account. */

/** A device's request, and the key (SPKI, base64) by which a CA counts it. */
export interface Asked {
  readonly id: string
  readonly key: string
  readonly csr: string
  readonly use: string
  readonly by: Registered
}

/** What certificates of a CA lead to. */
interface Anchored {
  readonly ca: Pick<TestCa, 'root' | 'issuing'>
}

/** The settings of a connection to a counting CA, as CFSSL or as EST. */
export const cfsslAt = (ca: Anchored, url: string) => ({
  kind: 'cfssl',
  ...commonOf(ca, url),
})
export const estAt = (ca: Anchored, url: string, more: { answersAgain?: boolean; password?: string } = {}) => ({
  kind: 'est',
  ...commonOf(ca, url),
  authentication: 'password',
  password: { user: 'certbook', password: more.password ?? 'as agreed' },
  answersAgain: more.answersAgain ?? false,
})

export const ejbcaAt = ({ ca, token, names }: EjbcaStub, url: string) => ({
  kind: 'ejbca',
  ...commonOf({ ca }, url),
  tlsAnchors: toPem('CERTIFICATE', ca.root),
  certificateProfile: names.certificateProfiles[0],
  endEntityProfile: names.endEntityProfile,
  certificateAuthority: names.ca,
  authentication: 'token',
  token,
})

const commonOf = ({ ca }: Anchored, url: string) => ({
  name: 'Mail CA',
  recipient: 'Example CA Ltd',
  url,
  anchors: toPem('CERTIFICATE', ca.root),
  intermediates: toPem('CERTIFICATE', ca.issuing),
})

/** Connects a CA and sends every request there. Resolves to the connection as it is. */
export async function connectCa(operator: Api, settings: unknown): Promise<Json> {
  const made = await operator.post('/v1/admin/ca-connections', settings)
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const rule = await operator.post('/v1/admin/routing-rules', { position: 1, connectionId: made.body.id })
  assert.equal(rule.status, 201, JSON.stringify(rule.body))
  return made.body
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const

/** A new key and its CSR, which names nothing but the mailbox, or nobody. */
export async function newCsr(address: string | null): Promise<{ key: string; csr: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
  const named = address === null ? {} : { mailbox: parseMailboxAddress(address) }
  const request = await makeCertificateRequest(crypto, { spki, privateKey: keys.privateKey, ...named })
  return { key: Buffer.from(spki).toString('base64'), csr: toPem('CERTIFICATE REQUEST', request) }
}

/** Asks for a certificate for a new key. */
export async function askForOne(by: Registered, use = 'dual'): Promise<Asked & { readonly answer: Answer }> {
  const { key, csr } = await newCsr(by.email)
  const answer = await by.api.post('/v1/certificate-requests', { csr, use })
  assert.ok(answer.status === 201 || answer.status === 202, JSON.stringify(answer.body))
  return { id: answer.body.id, key, csr, use, by, answer }
}

/** The same several times for each of some, all of one before the next. */
export async function askForMany(all: readonly Registered[], each: number): Promise<Asked[]> {
  const asked: Asked[] = []
  for (const by of all) for (let number = 0; number < each; number += 1) asked.push(await askForOne(by))
  return asked
}

/** A request as its device sees it. */
export const ownView = async ({ id, by }: Pick<Asked, 'id' | 'by'>): Promise<Json> =>
  (await by.api.get(`/v1/certificate-requests/${id}`)).body

/** A request as operators see it. */
export async function operatorsView(operator: Api, id: string): Promise<Json> {
  const read = await operator.get(`/v1/admin/certificate-requests/${id}`)
  assert.equal(read.status, 200, JSON.stringify(read.body))
  return read.body
}

/** The states of requests, as operators see them, and how many there are of each. */
export async function statesOf(operator: Api, asked: readonly Pick<Asked, 'id'>[]): Promise<Record<string, number>> {
  const wanted = new Set(asked.map(({ id }) => id))
  const counts: Record<string, number> = {}
  let next: string | null = ''
  while (next !== null) {
    const page: Answer = await operator.get(`/v1/admin/certificate-requests?limit=200${next && `&cursor=${next}`}`)
    assert.equal(page.status, 200, JSON.stringify(page.body))
    for (const { id, state } of page.body.items) if (wanted.has(id)) counts[state] = (counts[state] ?? 0) + 1
    next = page.body.next === null ? null : encodeURIComponent(page.body.next)
  }
  return counts
}

/** Of how many requests the certificate is kept; that of an `ended` one was superseded by the next of its device. */
export const kept = ({ issued = 0, ended = 0 }: Readonly<Record<string, number>>): number => issued + ended

/** An operator brings the certificate in that a CA has made for a request. */
export const bringIn = (operator: Api, id: string, certificate: Uint8Array): Promise<Answer> =>
  operator.post(`/v1/admin/certificate-requests/${id}/certificate`, { certificate: toPem('CERTIFICATE', certificate) })

/** Keys of requests for which a CA has made another number of certificates than one. */
export const notExactlyOne = (ca: Pick<CountingCa, 'issuedFor'>, asked: readonly Asked[]): Record<string, number> =>
  Object.fromEntries(
    asked.map(({ id, key }) => [id, ca.issuedFor(key).length] as const).filter(([, count]) => count !== 1),
  )

/** Lets minutes pass, each with what runs every minute. */
export async function passMinutes(harness: RoomHarness, minutes: number, jobs = ['requests-resume']): Promise<void> {
  for (let minute = 0; minute < minutes; minute += 1) {
    harness.clock.now += 60_000
    for (const job of jobs) await harness.runJob(job)
    await harness.settled()
  }
}

/** Lets minutes pass until something holds, and says how many; throws where it does not within an hour and a half. */
export async function minutesUntil(harness: RoomHarness, holds: () => Promise<boolean>): Promise<number> {
  for (let minutes = 0; minutes < 90; minutes += 1) {
    if (await holds()) return minutes
    await passMinutes(harness, 1)
  }
  throw new Error('it does not come to that within an hour and a half')
}

/** Lets minutes pass until every request is issued. */
export const untilAllIssued = (harness: RoomHarness, asked: readonly Asked[]): Promise<number> =>
  minutesUntil(harness, async () => kept(await statesOf(localOperator(harness), asked)) === asked.length)
