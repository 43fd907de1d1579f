import 'reflect-metadata'
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { certificatesOfPem } from '../../src/pki/pem.ts'
import { command } from '../../src/ports/database.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Json } from '../support/api.ts'
import { bringIn, connectCa } from '../support/ca-drill.ts'
import { startCfssl } from '../support/cfssl.ts'
import { makeCsr } from '../support/csr.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startListServer, type ListServer } from '../support/foreign-list.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { keyMakers, openssl } from '../support/openssl.ts'
import { toPem } from '../support/pem.ts'
import { certify, register, type Registered } from '../support/story.ts'

const minute = 60_000

/** A service by the machine's own time, which is also that of the programs beside it. */
async function openHarness(): Promise<RoomHarness> {
  const harness = await openRoomHarness('sqlite')
  harness.clock.now = Date.now()
  return harness
}

async function closeHarness(harness: RoomHarness): Promise<void> {
  await harness.settled()
  const faults = await harness.service.check()
  await harness.close()
  expect(faults).toEqual([])
}

const configuration = `
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 90
default_crl_days = 7
policy = anything
unique_subject = no
crlnumber = crlnumber
crl_extensions = list
[own_of_version_1]
database = index.txt
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_crl_days = 7
[anything]
commonName = optional
[mail]
keyUsage = critical, digitalSignature, keyAgreement
extendedKeyUsage = emailProtection
subjectAltName = email:alice@example.com
authorityKeyIdentifier = keyid
[list]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical, @part
[part]
fullname = URI:http://crl.example.com/mail.crl
onlyuser = TRUE
`

/** As `openssl ca` keeps them: UTCTime. */
const written = (time: number): string =>
  new Date(time)
    .toISOString()
    .replaceAll(/[-:T]|\.\d+/g, '')
    .slice(2)

describe.each(['RSA 4096', 'P-256'] as const)('lists that openssl ca makes with a key of %s', (kind) => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let harness: RoomHarness
  let server: ListServer
  let operator: Administrator
  let alice: Registered

  beforeAll(async () => {
    folder = await temporaryFolder()
    await writeFile(join(folder.path, 'ca.cnf'), configuration)
    await writeFile(join(folder.path, 'index.txt'), '')
    await writeFile(join(folder.path, 'serial'), `4${randomBytes(15).toString('hex').slice(1)}\n`)
    // RFC 5280 section 5.2.3: up to 20 octets.
    await writeFile(join(folder.path, 'crlnumber'), `7F${'AB'.repeat(19)}\n`)
    await openssl(folder.path, 'genpkey', ...keyMakers[kind], '-out', 'ca.key')
    const extensions = ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign']
    const named = extensions.flatMap((extension) => ['-addext', extension])
    await openssl(
      folder.path,
      'req',
      '-x509',
      '-new',
      '-key',
      'ca.key',
      '-subj',
      '/CN=A CA',
      '-out',
      'ca.pem',
      ...named,
    )
    harness = await openHarness()
    server = await startListServer()
    operator = await makeAdministrator(harness, 'operator')
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    await connectCa(operator.api, {
      kind: 'manual',
      name: 'Offline CA',
      recipient: 'Example AG',
      anchors: await readFile(join(folder.path, 'ca.pem'), 'utf8'),
      revocationLists: [server.urlOf('/mail.crl')],
    })
  })
  afterAll(async () => {
    await closeHarness(harness)
    await server.close()
    await folder.remove()
  })

  const ca = (...args: readonly string[]): Promise<string> => openssl(folder.path, 'ca', '-config', 'ca.cnf', ...args)
  const certified = async (): Promise<Json> => {
    await writeFile(join(folder.path, 'alice.csr'), await makeCsr({ subject: '', addresses: [alice.email] }))
    const csr = await readFile(join(folder.path, 'alice.csr'), 'utf8')
    const asked = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    expect(asked.status, JSON.stringify(asked.body)).toBe(202)
    const subject = ['-subj', '/CN=alice@example.com', '-extensions', 'mail']
    await ca('-batch', '-in', 'alice.csr', '-out', 'alice.pem', '-notext', ...subject)
    const [certificate = new Uint8Array()] =
      certificatesOfPem(await readFile(join(folder.path, 'alice.pem'), 'utf8')) ?? []
    const brought = await bringIn(operator.api, asked.body.id, certificate)
    expect(brought.status, JSON.stringify(brought.body)).toBe(200)
    return (await alice.api.get(`/v1/certificate-requests/${asked.body.id}`)).body.certificate
  }
  const show = async (list: Buffer): Promise<void> => {
    server.lists.set('/mail.crl', list)
    // The programs go by the machine's own time: it is not the clock that makes the list due.
    await harness.main.batch([command(`UPDATE fetched_revocation_lists SET due_at = 0`)])
    await harness.runJob('ca-lists')
    await harness.settled()
  }
  const reading = async ({ id }: Json): Promise<Json> => (await operator.api.get(`/v1/admin/certificates/${id}`)).body

  test('one that names somebody else revokes nothing, one among thousands that names it does', async () => {
    const certificate = await certified()
    const index = join(folder.path, 'index.txt')
    const expiry = written(Date.now() + 90 * 24 * 60 * minute)
    const others = Array.from({ length: 20_000 }, () => {
      const serial = `4${randomBytes(15).toString('hex').slice(1)}`.toUpperCase()
      return `R\t${expiry}\t${written(Date.now())},superseded\t${serial}\tunknown\t/CN=somebody`
    })
    await writeFile(index, (await readFile(index, 'utf8')) + others.join('\n') + '\n')
    await ca('-gencrl', '-out', 'list.pem')
    await show(await readFile(join(folder.path, 'list.pem')))
    expect((await reading(certificate)).state).toBe('valid')
    expect(harness.log.filter((line) => line.includes('ca_list_')).at(-1)).toContain('ca_list_applied')

    await ca('-revoke', 'alice.pem', '-crl_reason', 'keyCompromise')
    await ca('-gencrl', '-out', 'list.pem')
    await openssl(folder.path, 'crl', '-in', 'list.pem', '-outform', 'DER', '-out', 'list.der')
    await show(await readFile(join(folder.path, 'list.der')))
    expect(await reading(certificate)).toMatchObject({ state: 'revoked', revocationReason: 'keyCompromise' })
  })

  test('a hold, and a list of version 1, which has no extensions at all', async () => {
    const held = await certified()
    await ca('-revoke', 'alice.pem', '-crl_hold', 'holdInstructionReject')
    await ca('-gencrl', '-out', 'list.pem')
    await show(await readFile(join(folder.path, 'list.pem')))
    expect(await reading(held)).toMatchObject({ state: 'revoked', revocationReason: null })

    const old = await certified()
    const serial = old.serialNumber.toUpperCase()
    const listed = `R\t${written(Date.now() + 60 * minute)}\t${written(Date.now())}\t${serial}\tunknown\t/CN=alice\n`
    await writeFile(join(folder.path, 'index.txt'), listed)
    await ca('-name', 'own_of_version_1', '-gencrl', '-out', 'list.pem')
    expect(await openssl(folder.path, 'crl', '-in', 'list.pem', '-noout', '-text')).toContain('Version 1')
    await show(await readFile(join(folder.path, 'list.pem')))
    expect((await reading(old)).state).toBe('revoked')
  })
})

test('what is revoked here is revoked in the database of a real CFSSL, with its reason', async () => {
  const cfssl = await startCfssl({ takesKeyAlone: true })
  const harness = await openHarness()
  try {
    const operator = await makeAdministrator(harness, 'operator')
    await connectCa(operator.api, {
      kind: 'cfssl',
      name: 'CFSSL',
      recipient: 'Example AG',
      url: cfssl.url,
      profile: 'dual-ec',
      takesContentFromCsr: false,
      anchors: toPem('CERTIFICATE', cfssl.ca),
    })
    const bob = await register(harness.api, harness.mails, 'bob@example.com')
    const [first, second] = [await certify(bob), await certify(bob)]
    await bob.api.post(`/v1/certificates/${first.id}/revocation`, { reason: 'keyCompromise' })
    await harness.settled()
    const statusOf = ({ serialNumber }: Json) => {
      const serial = BigInt(`0x${serialNumber}`).toString()
      const record = cfssl.records().find((candidate) => candidate.serial === serial)
      return [record?.status, record?.reason]
    }
    expect([statusOf(first), statusOf(second)]).toEqual([
      ['revoked', 1],
      ['good', 0],
    ])
    const { items } = (await operator.api.get('/v1/admin/ca-revocations')).body
    expect(items.map(({ serialNumber, state }: Json) => [serialNumber, state])).toEqual([
      [first.serialNumber, 'confirmed'],
    ])
  } finally {
    await closeHarness(harness)
    await cfssl.stop()
  }
})
