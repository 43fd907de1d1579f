import assert from 'node:assert/strict'
import type { Api, Json } from './api.ts'
import { makeCsr } from './csr.ts'
import { tokenIn, type MailSource } from './mail.ts'

/** The steps of a subscriber's story, each asserting that it went well. */

export const policyVersion = '2026-11'

export const deviceFacts = {
  appVersion: '8.1.0',
  deviceType: 'iPhone',
  osVersion: '26.1',
  language: 'en',
  serialNumber: null,
}

export interface Registered {
  readonly subscriberId: string
  readonly deviceId: string
  readonly credential: string
  readonly email: string
  /** Speaks with the credential. */
  readonly api: Api
}

export const startRegistration = async (api: Api, email: string): Promise<Json> => {
  const started = await api.post('/v1/registrations', {
    email,
    accountType: 'imap',
    policyVersion,
    device: deviceFacts,
  })
  assert.equal(started.status, 202, JSON.stringify(started.body))
  return started.body
}

export const confirmRegistration = async (api: Api, mails: MailSource, started: Json): Promise<void> => {
  const token = tokenIn(await mails.challengeOf(started.id))
  const confirmed = await api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/confirmation`, { token })
  assert.deepEqual([confirmed.status, confirmed.body], [200, { state: 'confirmed' }])
}

/** Registers a mailbox with its mailed token, and gets the device's credential. */
export async function register(api: Api, mails: MailSource, email: string): Promise<Registered> {
  const started = await startRegistration(api, email)
  await confirmRegistration(api, mails, started)
  const minted = await api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`)
  assert.equal(minted.status, 201, JSON.stringify(minted.body))
  const { subscriberId, deviceId, credential } = minted.body
  return { subscriberId, deviceId, credential, email, api: api.with(credential) }
}

/** Has a CSR certified. */
export async function certify(subscriber: Registered, options: { csr?: string; use?: string } = {}): Promise<Json> {
  const csr = options.csr ?? (await makeCsr())
  const answer = await subscriber.api.post('/v1/certificate-requests', { csr, use: options.use ?? 'dual' })
  assert.equal(answer.status, 201, JSON.stringify(answer.body))
  return answer.body.certificate
}

export async function publish(subscriber: Registered, certificate: string, audience = 'members'): Promise<Json> {
  const answer = await subscriber.api.put(`/v1/certificates/${certificate}/publication`, {
    consentVersion: policyVersion,
    audience,
  })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body
}

export async function lookUp(asker: Registered, addresses: readonly string[], use = 'encrypt'): Promise<Json[]> {
  const answer = await asker.api.post('/v1/lookups', { addresses, use })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body.results
}
