import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openssl } from '../support/openssl.ts'
import { startGnuPg } from './gnupg.ts'
import { kinds } from './key-types.ts'
import { requireProgram } from './programs.ts'
import { run, runWell } from './run.ts'
import { addressIn, caKeys, certifyAll, ocspAddress, type Subscribers } from './subscribers.ts'

/**
 * The reasons that a subscriber can give, as openssl writes them in OCSP and in a list; null where none is written.
 * OpenSSL 3.0 has no name in OCSP for the last of RFC 5280 section 5.3.1 and shows its number.
 */
const reasons = [
  { given: 'keyCompromise', ocsp: 'keyCompromise (0x1)', list: 'Key Compromise' },
  { given: 'affiliationChanged', ocsp: 'affiliationChanged (0x3)', list: 'Affiliation Changed' },
  { given: 'superseded', ocsp: 'superseded (0x4)', list: 'Superseded' },
  { given: 'cessationOfOperation', ocsp: 'cessationOfOperation (0x5)', list: 'Cessation Of Operation' },
  { given: 'privilegeWithdrawn', ocsp: '(UNKNOWN) (0x9)', list: 'Privilege Withdrawn' },
  { given: 'unspecified', ocsp: null, list: null },
] as const

/** Each kind with one of the reasons; the first stays valid. */
const [valid, ...revoked] = kinds.map((kind, index) => {
  const reason = reasons[index % reasons.length] ?? reasons[0]
  return { name: kind.name, reason: reason.given, kind, wording: reason }
})

/** The job that makes lists runs every minute. */
const listedWithinMilliseconds = 90_000

const trust = ['-CAfile', 'root.pem']

const services = new Map<string, Subscribers>()
beforeAll(async () => {
  await requireProgram('certtool', 'gnutls-bin')
  await requireProgram('certutil', 'libnss3-tools')
  await requireProgram('crlutil', 'libnss3-tools')
  await requireProgram('gpgsm', 'gpgsm')
  await requireProgram('gpg-agent', 'gpg-agent')
  await requireProgram('dirmngr', 'dirmngr')
  // Both before the first test, so that the wait for their lists is one wait.
  await Promise.all(caKeys.map(async (caKey) => services.set(caKey, await certifyAll(caKey, kinds))))
})
afterAll(async () => {
  for (const subscribers of services.values()) await subscribers.close()
})

const subscribersOf = (caKey: string): Subscribers => {
  const subscribers = services.get(caKey)
  assert(subscribers !== undefined)
  return subscribers
}

const serialOf = async (folder: string, name: string): Promise<string> => {
  const line = await openssl(folder, 'x509', '-in', `${name}.pem`, '-noout', '-serial')
  return line.trim().replace('serial=', '')
}

/** Asks by POST, with a CertID of either hash. */
async function askByPost(folder: string, name: string, ...options: readonly string[]): Promise<string> {
  const url = await addressIn(folder, `${name}.pem`, ocspAddress)
  const ask = ['-issuer', 'issuing.pem', ...options, '-cert', `${name}.pem`, '-url', url]
  return runWell(folder, 'openssl', ['ocsp', ...ask, '-resp_text', ...trust])
}

/** Asks by GET, RFC 6960 appendix A.1, with a request of openssl's, and has openssl read the answer. */
async function askByGet(folder: string, name: string): Promise<string> {
  const certificate = ['-issuer', 'issuing.pem', '-cert', `${name}.pem`]
  await openssl(folder, 'ocsp', ...certificate, '-no_nonce', '-reqout', `${name}.request`)
  const request = (await readFile(join(folder, `${name}.request`))).toString('base64')
  const url = await addressIn(folder, `${name}.pem`, ocspAddress)
  const response = await fetch(`${url}/${encodeURIComponent(request)}`)
  expect([response.status, response.headers.get('Content-Type')]).toEqual([200, 'application/ocsp-response'])
  await writeFile(join(folder, `${name}.response`), new Uint8Array(await response.arrayBuffer()))
  return runWell(folder, 'openssl', ['ocsp', ...certificate, '-respin', `${name}.response`, '-resp_text', ...trust])
}

// For both CAs before the first list is waited for.
describe.each(caKeys)('OCSP of a CA with a %s key', (caKey) => {
  test.each(revoked)('openssl ocsp: $name is good, and revoked at once for $reason', async (row) => {
    const subscribers = subscribersOf(caKey)
    const { folder } = subscribers
    const { name } = row
    const askAll = async () => [
      await askByPost(folder, name),
      await askByPost(folder, name, '-sha256'),
      await askByGet(folder, name),
    ]
    for (const answer of await askAll()) {
      expect(answer).toContain('Response verify OK')
      expect(answer).toContain(`${name}.pem: good\n`)
    }
    await subscribers.of(row.kind).revoke(row.reason)
    for (const answer of await askAll()) {
      expect(answer).toContain('Response verify OK')
      expect(answer).toContain(`${name}.pem: revoked\n`)
      expect(/Revocation Reason: (.+)\n/.exec(answer)?.[1] ?? null).toBe(row.wording.ocsp)
    }
  })

  test('openssl ocsp: a serial number that was never issued is unknown, and another CA is none of ours', async () => {
    const { folder } = subscribersOf(caKey)
    const url = await addressIn(folder, `${valid?.name}.pem`, ocspAddress)
    const invented = '0x1234567890abcdef1234567890abcdef'
    const ask = ['-serial', invented, '-url', url, ...trust]
    expect(await runWell(folder, 'openssl', ['ocsp', '-issuer', 'issuing.pem', ...ask])).toContain(
      `${invented}: unknown\n`,
    )
    const other = await run(folder, 'openssl', ['ocsp', '-issuer', 'root.pem', ...ask])
    expect([other.code, other.output]).toEqual([1, expect.stringContaining('Responder Error: unauthorized')])
  })
})

describe.each(caKeys)('the revocation list of a CA with a %s key', (caKey) => {
  test('names within a minute each revoked certificate and why', async () => {
    const subscribers = subscribersOf(caKey)
    const { folder } = subscribers
    const serials = new Map<string, string>()
    for (const { name } of revoked) serials.set(name, await serialOf(folder, name))
    const until = Date.now() + listedWithinMilliseconds
    let text = ''
    do {
      await subscribers.fetchLists()
      text = await openssl(folder, 'crl', '-in', 'issuing.crl.pem', '-noout', '-text')
      if ([...serials.values()].every((serial) => text.includes(serial))) break
      await pause(1_000)
    } while (Date.now() < until)
    for (const { name, wording } of revoked) {
      const entry = text.split('Serial Number: ').find((part) => part.startsWith(serials.get(name) ?? 'no serial'))
      expect(entry).toBeDefined()
      expect(/Reason Code: \n\s+(.+)\n/.exec(entry ?? '')?.[1] ?? null).toBe(wording.list)
    }
    expect(text).not.toContain(await serialOf(folder, valid?.name ?? ''))
    const checked = await openssl(folder, 'crl', '-in', 'issuing.crl.pem', '-noout', '-CAfile', 'chain.pem')
    expect(checked).toContain('verify OK')
  })

  test.each(revoked)('has openssl and GnuTLS refuse $name', async ({ name }) => {
    const { folder } = subscribersOf(caKey)
    const chain = [...trust, '-untrusted', 'issuing.pem', '-crl_check', '-CRLfile', 'issuing.crl.pem']
    const byOpenssl = await run(folder, 'openssl', ['verify', ...chain, `${name}.pem`])
    expect([byOpenssl.code, byOpenssl.output]).toEqual([2, expect.stringContaining('certificate revoked')])
    const certtool = ['--verify', '--load-ca-certificate', 'root.pem', '--load-crl', 'issuing.crl.pem']
    const mailbox = ['--verify-email', `${name}@example.com`, '--infile', `${name}.chain.pem`]
    const byGnuTls = await run(folder, 'certtool', [...certtool, ...mailbox])
    expect([byGnuTls.code, byGnuTls.output]).toEqual([1, expect.stringContaining('revoked')])
  })

  test('has NSS refuse every one that it knows', async () => {
    const { folder } = subscribersOf(caKey)
    const certutil = (...args: readonly string[]) => run(folder, 'certutil', [...args, '-d', 'sql:.'])
    await runWell(folder, 'certutil', ['-N', '-d', 'sql:.', '--empty-password'])
    await runWell(folder, 'certutil', ['-A', '-d', 'sql:.', '-n', 'root', '-t', ',C,', '-i', 'root.pem'])
    await runWell(folder, 'certutil', ['-A', '-d', 'sql:.', '-n', 'issuing', '-t', ',,', '-i', 'issuing.pem'])
    for (const list of ['issuing.crl', 'root.crl']) await runWell(folder, 'crlutil', ['-I', '-d', 'sql:.', '-i', list])
    for (const { name, kind } of revoked.filter(({ kind }) => kind.peers.nssImports === null)) {
      expect((await certutil('-A', '-n', name, '-t', ',,', '-i', `${name}.pem`)).code).toBe(0)
      const { code, output } = await certutil('-V', '-n', name, '-u', kind.use === 'sign' ? 'S' : 'R')
      expect([code === 0, output]).toEqual([false, expect.stringContaining('revoked')])
    }
  })
})

test('gpgsm fetches the list of a CA with an RSA key itself, and refuses to encrypt to every revoked certificate', async () => {
  const { folder } = subscribersOf('rsa4096')
  await writeFile(join(folder, 'in.txt'), 'for nobody\n')
  const gnupg = await startGnuPg(folder)
  try {
    await gnupg.runWell('--import', 'root.pem', 'issuing.pem', ...kinds.map(({ name }) => `${name}.pem`))
    for (const { name } of revoked) {
      const text = await gnupg.runWell('--with-validation', '--list-keys', `<${name}@example.com>`)
      expect(text).toContain('[certificate is bad: Certificate revoked]')
    }
    const toValid = await gnupg.runWell('--with-validation', '--list-keys', `<${valid?.name}@example.com>`)
    expect(toValid).toContain('[certificate is good]')
    const encrypt = ['--yes', '-r', '<csr-rsa-2048-encrypt@example.com>', '-o', 'out.p7m', '--encrypt', 'in.txt']
    const { code, output } = await gnupg.run(...encrypt)
    expect([code === 0, output]).toEqual([false, expect.stringContaining('Certificate revoked')])
  } finally {
    await gnupg.end()
  }
})
