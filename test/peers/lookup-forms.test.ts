import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Api, askOver } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { openssl } from '../support/openssl.ts'
import { certificatePem } from '../support/pem.ts'
import { certify, publish, register, type Registered } from '../support/story.ts'
import { requireProgram } from './programs.ts'

/** What a lookup answers beside JSON, as OpenSSL reads it. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
let alice: Registered
/** Hers, and its chain. */
let expected: readonly string[]

beforeAll(async () => {
  await requireProgram('openssl', 'openssl')
  folder = await temporaryFolder()
  service = await startProcess(join(folder.path, 'data'))
  const mails = await watchOutbox(join(folder.path, 'data', 'outbox'))
  try {
    alice = await register(new Api(askOver(service.url)), mails, 'alice@example.com')
    const certificate = await certify(alice)
    await publish(alice, certificate.id)
    expected = [certificate.certificate, ...certificate.chain].map(certificatePem)
  } finally {
    mails.close()
  }
})
afterAll(async () => {
  await service.end('SIGTERM')
  await folder.remove()
})

const fetchForm = async (accept: string, file: string): Promise<void> => {
  const response = await fetch(`${service.url}/v1/lookups`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${alice.credential}`, 'Content-Type': 'application/json', Accept: accept },
    body: JSON.stringify({ addresses: [alice.email], use: 'encrypt' }),
  })
  expect(response.status).toBe(200)
  await writeFile(join(folder.path, file), new Uint8Array(await response.arrayBuffer()))
}

const certificatesIn = (text: string): string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n/g) ?? []

const derOf = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----[A-Z ]+-----/g, ''), 'base64')

test('openssl pkcs7 reads the certificate and its chain from a certs-only message', async () => {
  await fetchForm('application/pkcs7-mime', 'found.p7c')
  const read = await openssl(folder.path, 'pkcs7', '-inform', 'DER', '-in', 'found.p7c', '-print_certs')
  expect(certificatesIn(read).toSorted()).toEqual(expected.toSorted())
})

test('openssl cms reads it as SignedData without content and without signers, and writes the same bytes', async () => {
  await fetchForm('application/pkcs7-mime', 'found.p7c')
  const shown = await openssl(folder.path, 'cms', '-cmsout', '-print', '-noout', '-inform', 'DER', '-in', 'found.p7c')
  expect(shown).toContain('contentType: pkcs7-signedData (1.2.840.113549.1.7.2)')
  expect(shown).toMatch(/eContentType: pkcs7-data \(1\.2\.840\.113549\.1\.7\.1\)\s+eContent: <ABSENT>/)
  expect(shown).toMatch(/signerInfos:\s+<EMPTY>/)
  // OpenSSL keeps the order that it is given, here that of a SET OF in DER.
  const sorted = expected.toSorted((left, right) => Buffer.compare(derOf(left), derOf(right)))
  await writeFile(join(folder.path, 'chain.pem'), sorted.join(''))
  await openssl(folder.path, 'crl2pkcs7', '-nocrl', '-certfile', 'chain.pem', '-outform', 'DER', '-out', 'own.p7c')
  expect(await readFile(join(folder.path, 'found.p7c'))).toEqual(await readFile(join(folder.path, 'own.p7c')))
})

test('openssl cms encrypts to what the DER and the PEM form give', async () => {
  await fetchForm('application/pkix-cert', 'found.cer')
  await fetchForm('application/x-pem-file', 'found.pem')
  await writeFile(join(folder.path, 'text'), 'hello')
  await openssl(folder.path, 'cms', '-encrypt', '-in', 'text', '-out', 'sealed.eml', 'found.pem')
  const fromDer = await openssl(folder.path, 'x509', '-inform', 'DER', '-in', 'found.cer')
  const fromPem = await openssl(folder.path, 'x509', '-in', 'found.pem')
  expect([fromDer, fromPem]).toEqual([expected[0], expected[0]])
})
