import assert from 'node:assert/strict'
import type { GuardedAct } from '../../src/api/shapes.ts'
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

/** Asks for a proof of a subscriber's mailbox (the one that they registered with), for an act, and answers the mail. */
export async function proveMailbox(
  subscriber: Registered,
  mails: MailSource,
  { address = subscriber.email, act }: { address?: string; act?: GuardedAct } = {},
): Promise<Json> {
  const me = await subscriber.api.get('/v1/me')
  const mailbox = me.body.mailboxes.find((own: Json) => own.address === address)
  assert.ok(mailbox !== undefined, `${address} is none of their mailboxes`)
  const asked = await subscriber.api.post(`/v1/me/mailboxes/${mailbox.id}/proof`, { act })
  assert.equal(asked.status, 202, JSON.stringify(asked.body))
  const token = tokenIn(await mails.challengeOf(asked.body.challenge))
  const proved = await subscriber.api.post(`/v1/me/mailboxes/${mailbox.id}/proof`, { token })
  assert.equal(proved.status, 200, JSON.stringify(proved.body))
  return proved.body
}

/** A second device of a subscriber: it registers the same mailbox, is let in by the first, and gets its credential. */
export async function joinDevice(api: Api, mails: MailSource, first: Registered): Promise<Registered> {
  const started = await startRegistration(api, first.email)
  await confirmRegistration(api, mails, started)
  await proveMailbox(first, mails, { act: 'device_approve' })
  const approved = await first.api.post(`/v1/me/devices/${started.id}/approval`)
  assert.equal(approved.status, 200, JSON.stringify(approved.body))
  const minted = await api
    .with(started.deviceSecret)
    .post(`/v1/registrations/${started.id}/credential`, { waitForApproval: true })
  assert.equal(minted.status, 201, JSON.stringify(minted.body))
  const { subscriberId, deviceId, credential } = minted.body
  assert.equal(subscriberId, first.subscriberId)
  return { subscriberId, deviceId, credential, email: first.email, api: api.with(credential) }
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
