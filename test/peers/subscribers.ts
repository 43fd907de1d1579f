import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Api, askOver } from '../support/api.ts'
import { certifyKey, holdKey, type HeldKey } from '../support/key-holder.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { openssl } from '../support/openssl.ts'
import { certificatePem } from '../support/pem.ts'
import { certify, register } from '../support/story.ts'
import type { Kind } from './key-types.ts'
import { requireProgram } from './programs.ts'

/** A subscriber with one certificate: NAME.pem, NAME.chain.pem with the issuing CA's, and NAME.key unless the key never leaves its holder. */
export interface Subscriber {
  readonly kind: Kind
  readonly name: string
  readonly mailbox: string
  readonly held: HeldKey | null
  /** Revokes the certificate. */
  revoke(reason: string): Promise<void>
}

/** A running service whose subscribers are certified; issuing.pem, root.pem, chain.pem and the lists are in the folder. */
export interface Subscribers {
  readonly folder: string
  of(kind: Kind): Subscriber
  /** Fetches both lists again, from where the certificates say, as issuing.crl and root.crl (DER) and *.crl.pem. */
  fetchLists(): Promise<void>
  close(): Promise<void>
}

/** CA keys under which every kind is tried. */
export const caKeys = ['p256', 'rsa4096'] as const

export const policyOid = '1.3.6.1.4.1.32473.1.1'

/** The address that an extension of a certificate in the folder names. */
export async function addressIn(folder: string, certificate: string, pattern: RegExp): Promise<string> {
  const text = await openssl(folder, 'x509', '-in', certificate, '-noout', '-text')
  const address = pattern.exec(text)?.[1]
  assert(address !== undefined, text)
  return address
}

const distributionPoint = /CRL Distribution Points:[^]*?URI:(http:\S+)/
export const ocspAddress = /OCSP - URI:(http:\S+)/

async function fetchList(folder: string, certificate: string, list: string): Promise<void> {
  const response = await fetch(await addressIn(folder, certificate, distributionPoint))
  assert.deepEqual([response.status, response.headers.get('Content-Type')], [200, 'application/pkix-crl'])
  await writeFile(join(folder, list), new Uint8Array(await response.arrayBuffer()))
  await openssl(folder, 'crl', '-inform', 'DER', '-in', list, '-out', `${list}.pem`)
}

/** Starts a service with an embedded CA of the profile `private`, and has a key of each kind certified. */
export async function certifyAll(caKey: (typeof caKeys)[number], kinds: readonly Kind[]): Promise<Subscribers> {
  await requireProgram('openssl', 'openssl')
  const folder = await temporaryFolder()
  const settings = { CA_KEY: caKey, CA_PROFILE: 'private', CA_POLICY_OID: policyOid }
  const service = await startProcess(join(folder.path, 'data'), { settings })
  const mails = await watchOutbox(join(folder.path, 'data', 'outbox'))
  const subscribers = new Map<Kind, Subscriber>()
  let chain: string[] = []

  const makeCsr = async (name: string, make: readonly string[]): Promise<string> => {
    await openssl(folder.path, 'genpkey', ...make, '-out', `${name}.key`)
    await openssl(folder.path, 'req', '-new', '-key', `${name}.key`, '-subj', '/CN=a phone', '-out', `${name}.csr`)
    return readFile(join(folder.path, `${name}.csr`), 'utf8')
  }

  const certifyOne = async (kind: Kind, csr: string | null): Promise<void> => {
    const { name, use } = kind
    const mailbox = `${name}@example.com`
    const registered = await register(new Api(askOver(service.url)), mails, mailbox)
    const held = kind.held === null ? null : await holdKey(kind.held)
    let certificate
    if (csr !== null) {
      certificate = await certify(registered, { csr, use })
    } else {
      assert(held !== null)
      const answer = await certifyKey(registered.api, held, service.url)
      assert.equal(answer.status, 201, JSON.stringify(answer.body))
      certificate = answer.body.certificate
    }
    chain = certificate.chain.map(certificatePem)
    const own = certificatePem(certificate.certificate)
    await writeFile(join(folder.path, `${name}.pem`), own)
    await writeFile(join(folder.path, `${name}.chain.pem`), own + chain[0])
    const revoke = async (reason: string): Promise<void> => {
      const answer = await registered.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason })
      assert.deepEqual([answer.status, answer.body.state], [200, 'revoked'])
    }
    subscribers.set(kind, { kind, name, mailbox, held, revoke })
  }

  const close = async (): Promise<void> => {
    mails.close()
    await service.end('SIGTERM')
    await folder.remove()
  }

  const [first] = kinds
  const fetchLists = async (): Promise<void> => {
    await fetchList(folder.path, `${first?.name}.pem`, 'issuing.crl')
    await fetchList(folder.path, 'issuing.pem', 'root.crl')
  }

  try {
    // Making RSA keys takes most of the time, and openssl does it beside this process.
    const requests = kinds.map(async (kind) => ({ kind, csr: kind.make && (await makeCsr(kind.name, kind.make)) }))
    for (const { kind, csr } of await Promise.all(requests)) await certifyOne(kind, csr)
    const [issuing = '', root = ''] = chain
    await writeFile(join(folder.path, 'issuing.pem'), issuing)
    await writeFile(join(folder.path, 'root.pem'), root)
    await writeFile(join(folder.path, 'chain.pem'), issuing + root)
    await fetchLists()
  } catch (error) {
    await close()
    throw error
  }
  const of = (kind: Kind): Subscriber => {
    const subscriber = subscribers.get(kind)
    assert(subscriber !== undefined)
    return subscriber
  }
  return { folder: folder.path, of, fetchLists, close }
}
