import { expect } from 'vitest'
import type { Api, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { tokenIn, type MailSource } from '../support/mail.ts'
import {
  certify,
  confirmRegistration,
  lookUp,
  proveMailbox,
  publish,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'
import type { Travelled } from './whole-story.ts'

/**
 * How registrations go where networks lose answers, people have several devices, and somebody wants a mailbox that is
 * not theirs. Each part has a mailbox of its own: three challenges an hour are all that one is sent.
 */

const mint = (api: Api, started: Json, body?: object) =>
  api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`, body)

const minted = (api: Api, email: string, body: Json): Registered => ({ ...body, email, api: api.with(body.credential) })

/** Every answer of a registration is lost once, and the app asks again. */
async function lostAnswers(api: Api, mails: MailSource): Promise<void> {
  const lost = await startRegistration(api, 'lost@example.com')
  const started = await startRegistration(api, 'lost@example.com')
  const own = api.with(started.deviceSecret)
  const tokenOfLost = tokenIn(await mails.challengeOf(lost.id))
  const mixedUp = await own.post(`/v1/registrations/${started.id}/confirmation`, { token: tokenOfLost })
  expect([mixedUp.status, mixedUp.body.code]).toEqual([403, 'token_wrong'])
  await confirmRegistration(api, mails, started)
  await confirmRegistration(api, mails, started)

  const first = await mint(api, started)
  const second = await mint(api, started)
  expect([first.status, second.status]).toEqual([201, 201])
  expect(second.body.deviceId).toBe(first.body.deviceId)
  expect((await api.with(first.body.credential).get('/v1/me')).status, 'the lost credential').toBe(401)
  const device = api.with(second.body.credential)
  expect((await device.get('/v1/me')).status).toBe(200)
  const third = await mint(api, started)
  expect([third.status, third.body.code]).toEqual([409, 'registration_completed'])

  const rotated = [await device.post('/v1/me/credential'), await device.post('/v1/me/credential')]
  expect((await device.get('/v1/me')).status, 'until the new one is used').toBe(200)
  expect((await api.with(rotated[0]?.body.credential).get('/v1/me')).status).toBe(401)
  expect((await api.with(rotated[1]?.body.credential).get('/v1/me')).status).toBe(200)
  expect((await device.get('/v1/me')).status, 'after it is used').toBe(401)
}

/** An attacker starts a registration of somebody else's mailbox, and hopes that its owner presses the button. */
async function phishing(api: Api, mails: MailSource): Promise<void> {
  const attackers = await startRegistration(api, 'victim@example.com')
  const token = tokenIn(await mails.challengeOf(attackers.id))
  const facts = await api.post(`/confirm/${attackers.id}/facts`, { token })
  expect([facts.status, facts.body.deviceType]).toEqual([200, 'iPhone'])
  const pressed = await api.post(`/confirm/${attackers.id}`, { token, userCode: 'AAAA-2222' })
  expect([pressed.status, pressed.body.code]).toEqual([403, 'code_wrong'])
  const state = () => api.with(attackers.deviceSecret).get(`/v1/registrations/${attackers.id}`)
  expect((await state()).body).toEqual({ state: 'pending' })
  const early = await mint(api, attackers)
  expect([early.status, early.body.code]).toEqual([409, 'registration_not_confirmed'])
  expect((await api.post(`/confirm/${attackers.id}/refusal`, { token })).body).toEqual({ state: 'ended' })
  expect((await state()).body).toEqual({ state: 'ended' })
  expect((await mint(api, attackers)).body.code).toBe('registration_ended')
}

/** A tablet joins a phone: it waits, is let in, and each of the two has certificates of its own. */
async function secondDevice(api: Api, mails: MailSource, sender: Registered): Promise<void> {
  const phone = await register(api, mails, 'family@example.com')
  const started = await startRegistration(api, 'family@example.com')
  await confirmRegistration(api, mails, started)
  const waiting = await mint(api, started, { waitForApproval: true })
  expect([waiting.status, waiting.body.code]).toEqual([409, 'approval_pending'])
  expect(Number(waiting.headers.get('Retry-After'))).toBeGreaterThan(0)

  const listed = (await phone.api.get('/v1/me/devices')).body.items
  const newcomer = listed.find((device: Json) => device.state === 'awaiting_approval')
  expect(newcomer).toMatchObject({ deviceType: 'iPhone', current: false, lastSeenAt: null })
  const approvals = await Promise.all([1, 2].map(() => phone.api.post(`/v1/me/devices/${newcomer.id}/approval`)))
  expect(
    approvals.map(({ status }) => status),
    'an approval may be repeated',
  ).toEqual([200, 200])
  await mint(api, started, { waitForApproval: true })
  const tablet = minted(api, 'family@example.com', (await mint(api, started, { waitForApproval: true })).body)
  expect(tablet.subscriberId).toBe(phone.subscriberId)
  await mails.arrivalOf('family@example.com', 'A new device is registered for this address', 1)

  const ofPhone = await certify(phone)
  const ofTablet = await certify(tablet)
  for (const [device, certificate] of [[phone, ofPhone] as const, [tablet, ofTablet] as const]) {
    await publish(device, certificate.id)
  }
  const [found] = await lookUp(sender, ['family@example.com'])
  const ids = found.certificates.map(({ id }: Json) => id)
  expect(new Set(ids)).toEqual(new Set([ofPhone.id, ofTablet.id]))

  expect((await phone.api.delete(`/v1/me/devices/${tablet.deviceId}`)).status).toBe(204)
  expect((await tablet.api.get('/v1/me')).status).toBe(401)
  const [left] = await lookUp(sender, ['family@example.com'])
  expect(left.certificates.map(({ id }: Json) => id)).toEqual([ofPhone.id])
}

/** The next certificate of a device takes the place of the one before, in the directory too. */
async function renewal(api: Api, mails: MailSource, sender: Registered): Promise<void> {
  const renewing = await register(api, mails, 'renewing@example.com')
  const old = await certify(renewing)
  await publish(renewing, old.id)
  const next = await certify(renewing, { csr: await makeCsr() })
  expect(next).toMatchObject({ state: 'valid', published: true })
  expect((await renewing.api.get(`/v1/certificates/${old.id}`)).body).toMatchObject({
    state: 'superseded',
    published: false,
  })
  const [found] = await lookUp(sender, ['renewing@example.com'])
  expect(found.certificates.map(({ id }: Json) => id)).toEqual([next.id])
}

/** A mailbox gets another owner, who sees nothing of the one before, and comes back to who can still prove it. */
async function movingMailbox(api: Api, mails: MailSource, sender: Registered): Promise<void> {
  const before = await register(api, mails, 'desk@example.com')
  const certificate = await certify(before)
  await publish(before, certificate.id)

  const after = await register(api, mails, 'desk@example.com')
  expect(after.subscriberId).not.toBe(before.subscriberId)
  for (const list of ['/v1/certificates', '/v1/certificate-requests', '/v1/me/lookups']) {
    expect((await after.api.get(list)).body.items, list).toEqual([])
  }
  expect((await after.api.get('/v1/me/devices')).body.items.map(({ id }: Json) => id)).toEqual([after.deviceId])
  for (const path of [`/v1/certificates/${certificate.id}`, `/v1/me/mailboxes/${before.deviceId}/proof`]) {
    const foreign = path.endsWith('proof') ? await after.api.post(path, {}) : await after.api.get(path)
    expect(foreign.status, path).toBe(404)
  }
  expect((await lookUp(sender, ['desk@example.com']))[0].status).toBe('not_found')
  await mails.arrivalOf('desk@example.com', 'This address is registered anew by another device')

  expect((await before.api.get('/v1/me')).body.mailboxes[0].state).toBe('moved')
  const refused = await before.api.post('/v1/lookups', { addresses: ['anyone@example.com'], use: 'encrypt' })
  expect([refused.status, refused.body.code]).toEqual([403, 'mailbox_moved'])

  await proveMailbox(before, mails)
  expect((await before.api.get('/v1/me')).body.mailboxes[0].state).toBe('active')
  expect((await after.api.get('/v1/me')).body.mailboxes[0].state).toBe('moved')
  expect((await before.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('valid')
  await publish(before, certificate.id)
  expect((await lookUp(sender, ['desk@example.com']))[0].status).toBe('found')
}

export async function travelRealRegistrations(api: Api, mails: MailSource): Promise<Travelled> {
  const sender = await register(api, mails, 'sender@example.com')
  await lostAnswers(api, mails)
  await phishing(api, mails)
  await secondDevice(api, mails, sender)
  await renewal(api, mails, sender)
  await movingMailbox(api, mails, sender)
  const asked = ['family', 'family', 'renewing', 'desk', 'desk'].map((name) => `${name}@example.com`)
  return {
    answered: [{ asker: sender.subscriberId, addresses: asked }],
    addresses: [...new Set(asked), 'sender@example.com', 'lost@example.com', 'victim@example.com'],
  }
}
