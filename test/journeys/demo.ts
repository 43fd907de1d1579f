import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Api, askOver } from '../support/api.ts'
import { checkService } from '../support/check-service.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig } from '../support/node-process.ts'
import { makeKeyAndCsr, openssl } from '../support/openssl.ts'
import { certificatePem } from '../support/pem.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'
import { openNodeService } from '../../src/node.ts'

/**
 * The main job from beginning to end against a freshly started service, with openssl as maker of keys, verifier,
 * sender and reader. One line a step; ends non-zero where a step fails.
 */

let number = 0
async function step<T>(words: string, act: () => Promise<T>): Promise<T> {
  number += 1
  try {
    const result = await act()
    console.log(`${String(number).padStart(2)}  ok    ${words}`)
    return result
  } catch (error) {
    console.log(`${String(number).padStart(2)}  FAIL  ${words}`)
    throw error
  }
}

const folder = await temporaryFolder()
const dataDir = join(folder.path, 'data')
const inFolder = (name: string): string => join(folder.path, name)
const message = 'Dear Alice, this is for your eyes only.\n'

const service = await step('the service starts on a free port, with its own CA, databases and mail folder', () =>
  startProcess(dataDir),
)
let running = true
const stop = async (): Promise<void> => {
  running = false
  const { code } = await service.end('SIGTERM')
  assert.equal(code, 0)
}

/** The sender encrypts to what the directory gave, and the subscriber decrypts with the key that never left. */
async function sendAndRead(name: string, sender: Registered, address: string): Promise<void> {
  const [found] = await lookUp(sender, [address])
  assert.equal(found.status, 'found')
  const newest = found.certificates.at(0)
  await writeFile(inFolder(`${name}.found.pem`), certificatePem(newest.certificate))
  await writeFile(inFolder('message.txt'), message)
  await openssl(
    folder.path,
    'cms',
    '-encrypt',
    '-aes256',
    '-in',
    'message.txt',
    '-out',
    `${name}.p7m`,
    `${name}.found.pem`,
  )
  await openssl(
    folder.path,
    'cms',
    '-decrypt',
    '-in',
    `${name}.p7m`,
    '-inkey',
    `${name}.key`,
    '-recip',
    `${name}.found.pem`,
    '-out',
    `${name}.read.txt`,
  )
  assert.equal((await readFile(inFolder(`${name}.read.txt`), 'utf8')).replaceAll('\r\n', '\n'), message)
}

try {
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  const api = new Api(askOver(service.url))

  await step('GET /v1/policy tells what people are asked to agree to', async () => {
    assert.equal((await api.get('/v1/policy')).status, 200)
  })
  const alice = await step("Alice's app registers alice@example.com and confirms with the mailed token", () =>
    register(api, mails, 'alice@example.com'),
  )
  await step('openssl makes an RSA key and a CSR; the key stays with Alice', () =>
    makeKeyAndCsr(folder.path, 'alice', 'RSA 2048'),
  )
  const certificate = await step('the CSR becomes a certificate', async () =>
    certify(alice, { csr: await readFile(inFolder('alice.csr'), 'utf8') }),
  )
  await step('openssl verifies it up to the root, for signing and for encrypting', async () => {
    const [issuing = '', root = ''] = certificate.chain.map(certificatePem)
    await writeFile(inFolder('alice.pem'), certificatePem(certificate.certificate))
    await writeFile(inFolder('issuing.pem'), issuing)
    await writeFile(inFolder('root.pem'), root)
    for (const purpose of ['smimesign', 'smimeencrypt']) {
      await openssl(
        folder.path,
        'verify',
        '-x509_strict',
        '-purpose',
        purpose,
        '-CAfile',
        'root.pem',
        '-untrusted',
        'issuing.pem',
        'alice.pem',
      )
    }
  })
  const bob = await step('Bob registers bob@example.com', () => register(api, mails, 'bob@example.com'))
  await step('Bob looks Alice up and finds nothing: she has not published', async () => {
    const [result] = await lookUp(bob, ['alice@example.com'])
    assert.equal(result.status, 'not_found')
  })
  await step('Alice agrees to be found by members, and her certificate is published', () =>
    publish(alice, certificate.id),
  )
  await step('Bob finds it, openssl encrypts to it, and Alice decrypts', () =>
    sendAndRead('alice', bob, 'alice@example.com'),
  )
  await step('Carol does the same with a P-256 key', async () => {
    const carol = await register(api, mails, 'carol@example.com')
    await makeKeyAndCsr(folder.path, 'carol', 'P-256')
    const ecCertificate = await certify(carol, { csr: await readFile(inFolder('carol.csr'), 'utf8') })
    await publish(carol, ecCertificate.id)
    await sendAndRead('carol', bob, 'carol@example.com')
  })
  await step("every address that Bob asked for stands in Bob's log", async () => {
    const log = await bob.api.get('/v1/me/lookups')
    const entries = log.body.items.map((item: { address: string; status: string }) => `${item.address} ${item.status}`)
    assert.deepEqual(entries, ['carol@example.com found', 'alice@example.com found', 'alice@example.com not_found'])
  })
  await step('Alice withdraws, and is not found any more', async () => {
    assert.equal((await alice.api.delete(`/v1/certificates/${certificate.id}/publication`)).status, 204)
    const [result] = await lookUp(bob, ['alice@example.com'])
    assert.equal(result.status, 'not_found')
  })
  mails.close()
  await step('the service stops at SIGTERM and exits 0', stop)
  await step(
    'its files hold no clear address, its log is whole, and nothing is held that is not declared',
    async () => {
      const opened = await openNodeService(testConfig(dataDir))
      try {
        await checkService({
          service: opened.service,
          shards: [opened.journal],
          keys: opened.keys,
          answered: [
            { asker: bob.subscriberId, addresses: ['alice@example.com', 'alice@example.com', 'carol@example.com'] },
            { asker: bob.subscriberId, addresses: ['alice@example.com'] },
          ],
          addresses: ['alice@example.com', 'bob@example.com', 'carol@example.com'],
          dataDir,
        })
      } finally {
        await opened.close()
      }
    },
  )
  console.log('\nThe main job works: registered, certified, published, looked up, encrypted, decrypted, logged.')
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  if (running) await stop()
  await folder.remove()
}
