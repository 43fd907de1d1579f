import {
  CertbookClient,
  type DeviceCredential,
  type DeviceKeyPair,
  type PendingRegistration,
} from '../../src/client/index.ts'
import type { OwnCertificate } from '../../src/api/shapes.ts'
import { openMail } from './open-mail.ts'
import type { KeyType } from './key-types.ts'

/**
 * A mail app in a web page: the client library as it is, and what an app adds to it, a store for keys and a reader of
 * encrypted mail. It is bundled, and its functions are called by the test with what a mail server would bring.
 */

const bytes = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
const base64 = (octets: ArrayBuffer): string => btoa(String.fromCharCode(...new Uint8Array(octets)))

const device = { appVersion: '8.1.0', deviceType: 'browser', osVersion: '1', language: 'en', serialNumber: null }

let client: CertbookClient
export function open(baseUrl: string, root: string, credential?: string): void {
  client = new CertbookClient({ baseUrl, anchors: [bytes(root)], ...(credential === undefined ? {} : { credential }) })
}

export async function start(email: string): Promise<PendingRegistration> {
  const { version: policyVersion } = await client.policy()
  return client.registrations.start({ email, accountType: 'imap', policyVersion, device })
}

/** Confirms from the first of these mails that is the app's own challenge; says how many it looked at. */
export async function confirmFrom(pending: PendingRegistration, mails: readonly string[]): Promise<number> {
  for (const [position, mail] of mails.entries()) {
    const found = client.registrations.readChallenge(mail, [pending])
    if (found === null) continue
    await client.registrations.confirm(pending, found.token)
    return position + 1
  }
  throw new Error('none of the mails is the challenge')
}

const signIn = (device: DeviceCredential): DeviceCredential => {
  client = client.withCredential(device.credential)
  return device
}
export const credential = async (pending: PendingRegistration): Promise<DeviceCredential> =>
  signIn(await client.registrations.credential(pending, { waitForApproval: false }))
export const waitForCredential = async (pending: PendingRegistration): Promise<DeviceCredential> =>
  signIn(await client.registrations.waitForCredential(pending))

/** Approves the one device that waits. */
export async function approve(): Promise<void> {
  for await (const { id, state } of client.account.devices()) {
    if (state === 'awaiting_approval') await client.account.approveDevice(id)
  }
}

/** The app's own key store: keys go in and out as they are, and their private parts stay in Web Crypto. */
const database = new Promise<IDBDatabase>((resolve, reject) => {
  const request = indexedDB.open('keys', 1)
  request.addEventListener('upgradeneeded', () => request.result.createObjectStore('keys'))
  request.addEventListener('success', () => resolve(request.result))
  request.addEventListener('error', () => reject(new Error('no database', { cause: request.error })))
})
const done = <Value>(request: IDBRequest<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(new Error('no key', { cause: request.error })))
  })
const store = async (mode: IDBTransactionMode) => (await database).transaction('keys', mode).objectStore('keys')
const keep = async (name: string, pair: DeviceKeyPair) => done((await store('readwrite')).put(pair, name))
const kept = async (name: string): Promise<DeviceKeyPair> => done((await store('readonly')).get(name))

interface MakeKey {
  readonly use: 'sign' | 'encrypt'
  readonly kind?: 'P-256' | 'RSA-3072'
  readonly extractable?: boolean
}

/** Makes a key pair, stores it under a name, and only then has it certified. */
export async function certify(name: string, mailbox: string, { use, ...options }: MakeKey): Promise<OwnCertificate> {
  await keep(name, await client.makeKeyPair(use, options))
  const { state, certificate } = await client.certificates.certify(await kept(name), mailbox)
  if (certificate === null) throw new Error(`the request is ${state}`)
  return certificate
}

export async function publish(id: string): Promise<OwnCertificate> {
  const { version: consentVersion } = (await client.policy()).consents.publication
  return client.certificates.publish(id, { consentVersion, audience: 'members' })
}

export async function lookup(address: string) {
  const { results, rejected } = await client.lookup([address], 'encrypt')
  const found = results.flatMap(({ certificates }) => certificates)
  return {
    status: results[0]?.status,
    rejected,
    certificates: found.map(({ certificate }) => base64(certificate.slice().buffer)),
  }
}

/** Opens a mail with a stored key: the recipient that it is for is found by trying. */
export async function openWith(name: string, keyType: KeyType, mail: string): Promise<string> {
  const { privateKey } = await kept(name)
  for (const recipientAt of [0, 1]) {
    try {
      return await openMail({ crypto, privateKey }, keyType, bytes(mail), recipientAt)
    } catch {
      // For another device.
    }
  }
  throw new Error('the mail is not for this key')
}

/** PKCS#8 of a stored key in base64, or what the browser says where it may not leave. */
export async function takeOut(name: string): Promise<{ pkcs8: string } | { refused: string }> {
  try {
    return { pkcs8: base64(await crypto.subtle.exportKey('pkcs8', (await kept(name)).privateKey)) }
  } catch (error) {
    return { refused: error instanceof Error ? error.name : 'unknown' }
  }
}

export const checkIn = () => client.account.checkIn(device)
export const refusalOf = async (address: string): Promise<unknown> => {
  try {
    return await lookup(address)
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}
