import { expect } from 'vitest'
import type { Api } from '../support/api.ts'
import type { AnsweredLookup } from '../support/check-service.ts'
import { makeCsr } from '../support/csr.ts'
import type { MailSource } from '../support/mail.ts'
import { certify, lookUp, policyVersion, publish, register, startRegistration } from '../support/story.ts'

/** What a journey leaves behind for `checkService`. */
export interface Travelled {
  readonly answered: readonly AnsweredLookup[]
  readonly addresses: readonly string[]
}

/**
 * The story as a mail app lives it, over whatever carries the API: every call, each refusal that a stranger would
 * meet, and the asker's own log at the end.
 */
export async function travel(api: Api, mails: MailSource): Promise<Travelled> {
  const policy = await api.get('/v1/policy')
  expect(policy.body.version).toBe(policyVersion)

  const alice = await register(api, mails, 'alice@example.com')
  const bob = await register(api, mails, 'Bob.Builder@bücher.example')
  const me = await bob.api.get('/v1/me')
  expect(me.body.mailboxes[0].address).toBe('Bob.Builder@xn--bcher-kva.example')

  const csr = await makeCsr({ choice: 'RSA-2048', addresses: ['alice@example.com'] })
  const certificate = await certify(alice, { csr })
  const repeated = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
  expect([repeated.status, repeated.body.certificate.id]).toEqual([200, certificate.id])
  expect(certificate).toMatchObject({ mailbox: 'alice@example.com', use: 'dual', state: 'valid', published: false })

  expect((await api.get(`/v1/certificates/${certificate.id}`)).status).toBe(401)
  expect((await bob.api.get(`/v1/certificates/${certificate.id}`)).status).toBe(404)
  expect((await api.with('cb_adm_something').get('/v1/me')).status).toBe(403)
  const foreign = await bob.api.put(`/v1/certificates/${certificate.id}/publication`, {
    consentVersion: policyVersion,
    audience: 'members',
  })
  expect(foreign.status).toBe(404)

  expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('not_found')
  await publish(alice, certificate.id)
  const results = await lookUp(bob, ['nobody@example.com', 'ALICE@Example.com', 'no address'])
  expect(results.map((result) => result.status)).toEqual(['not_found', 'found', 'invalid'])
  expect(results[1].certificates[0].certificate).toBe(certificate.certificate)
  expect((await api.post('/v1/lookups', { addresses: ['alice@example.com'], use: 'encrypt' })).status).toBe(401)

  expect((await alice.api.get('/v1/certificates')).body.items[0]).toMatchObject({ id: certificate.id, published: true })
  expect((await alice.api.delete(`/v1/certificates/${certificate.id}/publication`)).status).toBe(204)
  expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('not_found')

  const log = await bob.api.get('/v1/me/lookups')
  expect(log.body.items.map((item: { address: string; status: string }) => [item.address, item.status])).toEqual([
    ['alice@example.com', 'not_found'],
    ['ALICE@example.com', 'found'],
    ['nobody@example.com', 'not_found'],
    ['alice@example.com', 'not_found'],
  ])
  expect((await alice.api.get('/v1/me/lookups')).body.items).toEqual([])

  const unconfirmed = await startRegistration(api, 'mallory@example.com')
  const early = await api.with(unconfirmed.deviceSecret).post(`/v1/registrations/${unconfirmed.id}/credential`)
  expect([early.status, early.body.code]).toEqual([409, 'registration_not_confirmed'])

  return {
    answered: [
      { asker: bob.subscriberId, addresses: ['alice@example.com', 'alice@example.com', 'ALICE@example.com'] },
      { asker: bob.subscriberId, addresses: ['nobody@example.com'] },
    ],
    addresses: ['alice@example.com', 'Bob.Builder@bücher.example', 'nobody@example.com', 'mallory@example.com'],
  }
}
