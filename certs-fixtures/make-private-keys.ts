/**
 * Makes every file of `private-keys/` anew: `node certs-fixtures/make-private-keys.ts`. Needs the programs `openssl`
 * (3.0 or newer), `ssh-keygen`, `puttygen`, `gpg` and `keytool`. Forms that none of them writes are put together here.
 * All keys are made by this script, for these files, and are worth nothing.
 * Run `make-disguised-keys.ts` next: its bodies hold these keys.
 */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from '../src/pki/der.ts'
import { concatBytes, fromBase64, toBase64, toHex } from '../src/pki/encoding.ts'
import { toPem } from '../test/support/pem.ts'

const out = join(import.meta.dirname, 'private-keys')
rmSync(out, { recursive: true, force: true })
mkdirSync(out)
const work = mkdtempSync(join(tmpdir(), 'private-keys-'))
const inWork = (name: string) => join(work, name)
const run = (program: string, ...parameters: string[]) =>
  new Uint8Array(execFileSync(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'] }))
const openssl = (...parameters: string[]) => run('openssl', ...parameters)

const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const readBytes = (path: string) => new Uint8Array(readFileSync(path))
const json = 'application/json'
const pem = 'application/x-pem-file'
const der = 'application/pkcs10'

interface Entry {
  file: string
  form: string
  contentType: string
  /** Whose public key is to be recovered: a file `key-*.body`; null where none can be. */
  key: string | null
  /** Whose public part was put beside the private value. */
  stranger?: string
}
const manifest: Entry[] = []

function write(name: string, form: string, body: Uint8Array | string, contentType: string, key: string | null): void {
  const file = `${name}.body`
  writeFileSync(join(out, file), body)
  manifest.push({ file, form, contentType, key })
}

function forge(
  form: string,
  what: string,
  body: Uint8Array | string,
  contentType: string,
  key: string | null,
  stranger: string,
) {
  write(`forged-${form}-${what}`, form, body, contentType, key)
  Object.assign(manifest.at(-1) ?? {}, { stranger })
}

// Keys

const keys = new Map<string, KeyObject>()
const keyOf = (name: string): KeyObject => {
  const key = keys.get(name)
  if (key === undefined) throw new Error(`no key ${name}`)
  return key
}
const pkcs8 = (name: string) => new Uint8Array(keyOf(name).export({ type: 'pkcs8', format: 'der' }))
const jwk = (name: string) => keyOf(name).export({ format: 'jwk' })
const member = (name: string, part: 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi' | 'x' | 'y') =>
  new Uint8Array(Buffer.from(jwk(name)[part] ?? '', 'base64url'))
const pkcs1 = (name: string) => new Uint8Array(keyOf(name).export({ type: 'pkcs1', format: 'der' }))
const sec1 = (name: string) => new Uint8Array(keyOf(name).export({ type: 'sec1', format: 'der' }))

function makeKey(name: string, algorithm: string, ...options: string[]): void {
  openssl('genpkey', '-algorithm', algorithm, ...options.flatMap((o) => ['-pkeyopt', o]), '-out', inWork(`${name}.pem`))
  keys.set(name, createPrivateKey(readFileSync(inWork(`${name}.pem`))))
}
for (const [name, curve] of Object.entries({
  p256: 'P-256',
  'p256-stranger': 'P-256',
  p384: 'P-384',
  p521: 'P-521',
  brainpool: 'brainpoolP256r1',
})) {
  makeKey(name, 'EC', `ec_paramgen_curve:${curve}`)
}
makeKey('rsa', 'RSA', 'rsa_keygen_bits:2048')
makeKey('rsa-stranger', 'RSA', 'rsa_keygen_bits:2048')
makeKey('rsa-e3', 'RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:3')
makeKey('ed25519', 'ED25519')
makeKey('ed25519-stranger', 'ED25519')
makeKey('x25519', 'X25519')

// Keys as they are

for (const name of keys.keys()) write(`key-${name}`, 'pkcs8', pkcs8(name), der, name)
write('pkcs1-der', 'pkcs1', pkcs1('rsa'), der, 'rsa')
write('pkcs1-pem', 'pkcs1', toPem('RSA PRIVATE KEY', pkcs1('rsa')), pem, 'rsa')
write('sec1-der', 'sec1', sec1('p256'), der, 'p256')
for (const name of ['p256', 'p384', 'p521'])
  write(`sec1-pem-${name}`, 'sec1', toPem('EC PRIVATE KEY', sec1(name)), pem, name)
const sequence = (...contents: Uint8Array[]) => encodeElement(tag.sequence, ...contents)
const octets = (content: Uint8Array) => encodeElement(tag.octetString, content)
const smallInteger = (value: number) => encodeElement(tag.integer, Uint8Array.of(value))
const unsigned = (value: Uint8Array) =>
  encodeElement(tag.integer, (value[0] ?? 0) >= 0x80 ? Uint8Array.of(0) : new Uint8Array(), value)
const bareSec1 = sequence(smallInteger(1), octets(member('p256', 'd')))
write('sec1-without-curve', 'sec1', bareSec1, der, 'p256')
write('pkcs8-pem', 'pkcs8', toPem('PRIVATE KEY', pkcs8('p256')), pem, 'p256')
openssl('genpkey', '-algorithm', 'ED448', '-out', inWork('ed448.pem'))
write('pkcs8-ed448', 'pkcs8', readBytes(inWork('ed448.pem')), pem, null)
openssl('dsaparam', '-out', inWork('dsa-parameters.pem'), '2048')
openssl('gendsa', '-out', inWork('dsa8.pem'), inWork('dsa-parameters.pem'))
write('dsa-pem', 'dsa', openssl('dsa', '-in', inWork('dsa8.pem')), pem, null)
write('dsa-der', 'dsa', openssl('dsa', '-in', inWork('dsa8.pem'), '-outform', 'DER'), der, null)

// Under a password

const word = 'throwaway'
const encrypted = (...flags: string[]) =>
  openssl('pkcs8', '-topk8', '-in', inWork('p256.pem'), '-passout', `pass:${word}`, ...flags)
write('encrypted-pkcs8-pbes2-pem', 'encrypted-pkcs8', encrypted('-v2', 'aes-256-cbc'), pem, null)
write('encrypted-pkcs8-pbes2-der', 'encrypted-pkcs8', encrypted('-v2', 'aes-256-cbc', '-outform', 'DER'), der, null)
write('encrypted-pkcs8-scrypt-der', 'encrypted-pkcs8', encrypted('-scrypt', '-outform', 'DER'), der, null)
const pbes1 = encrypted('-v1', 'PBE-SHA1-3DES', '-outform', 'DER')
write('encrypted-pkcs8-pbes1-der', 'encrypted-pkcs8', pbes1, der, null)
write('encrypted-pkcs8-json-base64', 'encrypted-pkcs8', JSON.stringify({ csr: toBase64(pbes1) }), json, null)
write(
  'pkcs1-pem-encrypted',
  'pkcs1',
  openssl('rsa', '-in', inWork('rsa.pem'), '-traditional', '-aes128', '-passout', `pass:${word}`),
  pem,
  null,
)
openssl('req', '-new', '-x509', '-key', inWork('p256.pem'), '-subj', '/CN=throwaway', '-out', inWork('p256.crt'))
openssl(
  'pkcs12',
  '-export',
  '-inkey',
  inWork('p256.pem'),
  '-in',
  inWork('p256.crt'),
  '-passout',
  `pass:${word}`,
  '-out',
  inWork('p256.p12'),
)
const p12 = readBytes(inWork('p256.p12'))
write('pkcs12-der', 'pkcs12', p12, der, null)
write('pkcs12-json-base64', 'pkcs12', JSON.stringify({ csr: toBase64(p12) }), json, null)
openssl(
  'pkcs12',
  '-export',
  '-inkey',
  inWork('p256.pem'),
  '-in',
  inWork('p256.crt'),
  '-keypbe',
  'NONE',
  '-certpbe',
  'NONE',
  '-passout',
  `pass:${word}`,
  '-out',
  inWork('open.p12'),
)
write('pkcs12-unencrypted', 'pkcs12', readBytes(inWork('open.p12')), der, 'p256')
for (const form of ['jks', 'jceks']) {
  run(
    'keytool',
    '-genkeypair',
    '-keyalg',
    'EC',
    '-groupname',
    'secp256r1',
    '-dname',
    'CN=throwaway',
    '-alias',
    'a',
    '-storetype',
    form,
    '-keystore',
    inWork(form),
    '-storepass',
    word,
    '-keypass',
    word,
  )
  write(`${form}-binary`, form, readBytes(inWork(form)), der, null)
  write(`${form}-json-base64`, form, JSON.stringify({ csr: toBase64(readBytes(inWork(form))) }), json, null)
}

// SSH

const sshString = (content: Uint8Array | string) => {
  const bytes = typeof content === 'string' ? bytesOf(content) : content
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, bytes.length)
  return concatBytes(length, bytes)
}
const mpint = (value: Uint8Array) => sshString((value[0] ?? 0) >= 0x80 ? concatBytes(Uint8Array.of(0), value) : value)
const point = (name: string) => concatBytes(Uint8Array.of(4), member(name, 'x'), member(name, 'y'))

function openSsh(publicBlob: Uint8Array, ...fields: Uint8Array[]): Uint8Array {
  const inner = concatBytes(new Uint8Array(8), ...fields, sshString('throwaway'))
  const padding = Uint8Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, index) => index + 1)
  const count = Uint8Array.of(0, 0, 0, 1)
  const head = [bytesOf('openssh-key-v1\0'), sshString('none'), sshString('none'), sshString(''), count]
  return concatBytes(...head, sshString(publicBlob), sshString(concatBytes(inner, padding)))
}
const ed25519Blob = (name: string) => concatBytes(sshString('ssh-ed25519'), sshString(member(name, 'x')))
const ed25519OpenSsh = (name: string, beside: string) =>
  openSsh(
    ed25519Blob(beside),
    sshString('ssh-ed25519'),
    sshString(member(beside, 'x')),
    sshString(concatBytes(member(name, 'd'), member(beside, 'x'))),
  )
const ecOpenSsh = (name: string, beside: string) => {
  const type = [sshString('ecdsa-sha2-nistp256'), sshString('nistp256'), sshString(point(beside))]
  return openSsh(concatBytes(...type), ...type, mpint(member(name, 'd')))
}
const opensshLabel = 'OPENSSH PRIVATE KEY'
for (const name of ['rsa', 'p256', 'p384', 'p521']) {
  writeFileSync(inWork(`ssh-${name}`), readFileSync(inWork(`${name}.pem`)), { mode: 0o600 })
  run('ssh-keygen', '-p', '-q', '-N', '', '-P', '', '-f', inWork(`ssh-${name}`))
  write(`openssh-${name}`, 'openssh', readBytes(inWork(`ssh-${name}`)), pem, name)
}
write('openssh-ed25519', 'openssh', toPem(opensshLabel, ed25519OpenSsh('ed25519', 'ed25519')), pem, 'ed25519')
write('openssh-binary', 'openssh', ecOpenSsh('p256', 'p256'), der, 'p256')
run('ssh-keygen', '-p', '-q', '-N', word, '-P', '', '-f', inWork('ssh-p256'))
write('openssh-encrypted', 'openssh', readBytes(inWork('ssh-p256')), pem, null)
write(
  'ssh1-binary',
  'ssh1',
  concatBytes(bytesOf('SSH PRIVATE KEY FILE FORMAT 1.1\n\0\0'), new Uint8Array(64)),
  der,
  null,
)
write(
  'ssh2-pem',
  'ssh2',
  `---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: "throwaway"\n${toBase64(pkcs1('rsa').slice(90, 150))}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n`,
  pem,
  null,
)
for (const name of ['rsa', 'p384']) {
  run('puttygen', inWork(`ssh-${name}`), '-O', 'private', '-o', inWork(`${name}.ppk`))
  write(`putty-${name}`, 'putty', readBytes(inWork(`${name}.ppk`)), pem, name)
}
writeFileSync(inWork('ssh-ed25519'), toPem(opensshLabel, ed25519OpenSsh('ed25519', 'ed25519')), { mode: 0o600 })
run('puttygen', inWork('ssh-ed25519'), '-O', 'private', '-o', inWork('ed25519.ppk'))
const ppk = textOf(readBytes(inWork('ed25519.ppk')))
write('putty-ed25519', 'putty', ppk, pem, 'ed25519')
write('putty-json-base64', 'putty', JSON.stringify({ csr: toBase64(bytesOf(ppk)) }), json, 'ed25519')
write('putty-json-escaped', 'putty', JSON.stringify({ csr: ppk }), json, 'ed25519')
writeFileSync(inWork('word'), word)
run(
  'puttygen',
  inWork('ssh-rsa'),
  '-O',
  'private',
  '--new-passphrase',
  inWork('word'),
  '--ppk-param',
  'version=2',
  '-o',
  inWork('v2.ppk'),
)
write('putty-version-2-encrypted', 'putty', readBytes(inWork('v2.ppk')), pem, null)

// Microsoft

openssl('rsa', '-in', inWork('rsa.pem'), '-outform', 'MSBLOB', '-out', inWork('rsa.blob'))
const blob = readBytes(inWork('rsa.blob'))
write('ms-blob-binary', 'ms-blob', blob, der, 'rsa')
write('ms-blob-hex', 'ms-blob', JSON.stringify({ csr: toHex(blob) }), json, 'rsa')
openssl('rsa', '-in', inWork('rsa.pem'), '-outform', 'PVK', '-pvk-none', '-out', inWork('rsa.pvk'))
write('ms-pvk-binary', 'ms-pvk', readBytes(inWork('rsa.pvk')), der, 'rsa')
openssl(
  'rsa',
  '-in',
  inWork('rsa.pem'),
  '-outform',
  'PVK',
  '-passout',
  `pass:${word}`,
  '-provider',
  'legacy',
  '-provider',
  'default',
  '-out',
  inWork('strong.pvk'),
)
write('ms-pvk-encrypted', 'ms-pvk', readBytes(inWork('strong.pvk')), der, null)
const cng = concatBytes(bytesOf('ECS2'), Uint8Array.of(32, 0, 0, 0), point('p256').slice(1), member('p256', 'd'))
write('ms-cng-blob-json-base64', 'ms-cng-blob', JSON.stringify({ csr: toBase64(cng) }), json, null)

// OpenPGP

const mpi = (value: Uint8Array) => {
  const bits = value.length * 8 - Math.clz32(value[0] ?? 0) + 24
  return concatBytes(Uint8Array.of(bits >> 8, bits), value)
}
function pgpPacket(header: 'old' | 'new', type: number, publicPart: Uint8Array, secretPart: Uint8Array): Uint8Array {
  const sum = secretPart.reduce((total, octet) => total + octet, 0)
  const body = concatBytes(publicPart, Uint8Array.of(0), secretPart, Uint8Array.of(sum >> 8, sum))
  const length = body.length
  if (header === 'old') return concatBytes(Uint8Array.of(0x81 | (type << 2), length >> 8, length), body)
  const size = length < 192 ? [length] : [192 + ((length - 192) >> 8), length - 192]
  return concatBytes(Uint8Array.of(0xc0 | type, ...size), body)
}
const pgpHead = (algorithm: number) => Uint8Array.of(4, 0x66, 0, 0, 0, algorithm)
const pgpRsa = (header: 'old' | 'new', name: string, beside: string) =>
  pgpPacket(
    header,
    5,
    concatBytes(pgpHead(1), mpi(member(beside, 'n')), mpi(member(beside, 'e'))),
    concatBytes(mpi(member(name, 'd')), mpi(member(name, 'p')), mpi(member(name, 'q')), mpi(member(name, 'qi'))),
  )
const p256Oid = Uint8Array.of(8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7)
const pgpEc = (name: string, beside: string) =>
  pgpPacket('new', 7, concatBytes(pgpHead(19), p256Oid, mpi(point(beside))), mpi(member(name, 'd')))
const withoutZeros = (value: Uint8Array) => value.slice(value.findIndex((octet) => octet !== 0))
const ed25519Oid = Uint8Array.of(9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 15, 1)
const pgpEd25519 = pgpPacket(
  'old',
  7,
  concatBytes(pgpHead(22), ed25519Oid, mpi(concatBytes(Uint8Array.of(0x40), member('ed25519', 'x')))),
  mpi(withoutZeros(member('ed25519', 'd'))),
)
write('pgp-old-packet-rsa', 'pgp', pgpRsa('old', 'rsa', 'rsa'), der, 'rsa')
write('pgp-new-packet-rsa', 'pgp', pgpRsa('new', 'rsa', 'rsa'), der, 'rsa')
write('pgp-subkey-p256', 'pgp', pgpEc('p256', 'p256'), der, 'p256')
write('pgp-subkey-ed25519', 'pgp', pgpEd25519, der, 'ed25519')
write('pgp-json-base64', 'pgp', JSON.stringify({ csr: toBase64(pgpEc('p256', 'p256')) }), json, 'p256')
const home = inWork('gpg')
mkdirSync(home, { mode: 0o700 })
const gpg = (passphrase: string, ...parameters: string[]) =>
  run(
    'gpg',
    '--homedir',
    home,
    '--batch',
    '--yes',
    '--pinentry-mode',
    'loopback',
    '--passphrase',
    passphrase,
    ...parameters,
  )
gpg('', '--quick-gen-key', 'open@example.com', 'rsa2048', 'sign', 'never')
gpg(word, '--quick-gen-key', 'closed@example.com', 'ed25519', 'sign', 'never')
const open = gpg('', '--export-secret-keys', 'open@example.com')
write('pgp-gnupg-binary', 'pgp', open, der, 'gnupg')
const gpgPublic = open.subarray(9)
const gpgSize = ((gpgPublic[0] ?? 0) * 256 + (gpgPublic[1] ?? 0)) / 8
const gpgJwk = {
  kty: 'RSA',
  n: Buffer.from(gpgPublic.subarray(2, 2 + gpgSize)).toString('base64url'),
  e: 'AQAB',
}
const gpgSpki = createPublicKey({ key: gpgJwk, format: 'jwk' }).export({ type: 'spki', format: 'der' })
writeFileSync(join(out, 'public-key-gnupg.der'), gpgSpki)
write(
  'pgp-gnupg-armour',
  'pgp',
  gpg('', '--armor', '--comment', 'throwaway', '--export-secret-keys', 'open@example.com'),
  pem,
  'gnupg',
)
const closed = gpg(word, '--export-secret-keys', 'closed@example.com')
write('pgp-gnupg-encrypted', 'pgp', closed, der, null)
write('pgp-gnupg-encrypted-json-base64', 'pgp', JSON.stringify({ csr: toBase64(closed) }), json, null)
execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'])

// JSON Web Keys

for (const name of ['rsa', 'p256', 'p384', 'ed25519', 'x25519']) {
  write(`jwk-${name}`, 'jwk', JSON.stringify(jwk(name)), json, name)
}
const { kty, n, e, d } = jwk('rsa')
write('jwk-rsa-without-primes', 'jwk', JSON.stringify({ kty, n, e, d }), json, 'rsa')
write(
  'jwk-in-set',
  'jwk',
  JSON.stringify({ a: { keys: [{ kty: 'oct', kid: '{' }, jwk('p256')] } }, null, 2),
  json,
  'p256',
)
write('jwk-in-string', 'jwk', JSON.stringify({ csr: JSON.stringify(jwk('p256')), use: 'dual' }), json, 'p256')
write(
  'jwk-in-string-in-string',
  'jwk',
  JSON.stringify({ a: JSON.stringify({ b: JSON.stringify(jwk('p256')) }) }),
  json,
  'p256',
)
write('jwk-json-base64', 'jwk', JSON.stringify({ csr: toBase64(bytesOf(JSON.stringify(jwk('p256')))) }), json, 'p256')

// Wrappings

const key = pkcs8('p256')
const keyPem = toPem('PRIVATE KEY', key)
const base64 = toBase64(key)
const utf16 = (text: string, bigEndian: boolean, mark: boolean) => {
  const bytes = Buffer.from(`${mark ? '\ufeff' : ''}${text}`, 'utf16le')
  return new Uint8Array(bigEndian ? bytes.swap16() : bytes)
}
const utf32 = (text: string) => new Uint8Array(Uint32Array.from(text, (letter) => letter.charCodeAt(0)).buffer)
const jsonKey = JSON.stringify({ csr: keyPem, use: 'dual' })
const csrPem = readFileSync(join(import.meta.dirname, 'csr-p256-any-subject.pem'), 'utf8')
const csr = fromBase64(csrPem.replaceAll(/-----[^-]+-----|\s/g, '')) ?? new Uint8Array()
const wrapped = (name: string, body: Uint8Array | string, contentType: string) =>
  write(`wrapped-${name}`, 'pkcs8', body, contentType, 'p256')
wrapped('json-pem', jsonKey, json)
wrapped('json-pem-crlf', JSON.stringify({ csr: keyPem.replaceAll('\n', '\r\n') }), json)
wrapped('json-pem-escaped-twice', JSON.stringify({ a: JSON.stringify({ csr: keyPem }) }), json)
wrapped('json-unicode-escapes', jsonKey.replaceAll('-', String.raw`\u002d`).replaceAll('P', String.raw`\u0050`), json)
wrapped('json-base64', JSON.stringify({ csr: base64 }), json)
wrapped('json-base64-unpadded', JSON.stringify({ csr: base64.replaceAll('=', '') }), json)
wrapped('json-base64-slashes-escaped', JSON.stringify({ csr: base64 }).replaceAll('/', String.raw`\/`), json)
wrapped('json-base64url', JSON.stringify({ csr: Buffer.from(key).toString('base64url') }), json)
wrapped('json-base64-lines', JSON.stringify({ csr: base64.replaceAll(/.{70}/g, '$&\n') }), json)
wrapped('json-base64-of-pem', JSON.stringify({ csr: toBase64(bytesOf(keyPem)) }), json)
wrapped('json-base64-of-utf-16', JSON.stringify({ csr: toBase64(utf16(keyPem, false, true)) }), json)
wrapped('json-hex', JSON.stringify({ csr: toHex(key) }), json)
wrapped(
  'json-hex-colons',
  JSON.stringify({
    csr: toHex(key)
      .toUpperCase()
      .replaceAll(/..(?!$)/g, '$&:'),
  }),
  json,
)
wrapped('hex-prefixes', `Key: ${toHex(key).replaceAll(/../g, '0x$&, ')}`, pem)
wrapped('hex-of-pem', JSON.stringify({ csr: toHex(bytesOf(keyPem)) }), json)
wrapped('json-latin-1', JSON.stringify({ csr: Buffer.from(key).toString('latin1') }), json)
wrapped('percent', `csr=${encodeURIComponent(keyPem)}`, pem)
wrapped('percent-base64', `csr=${encodeURIComponent(base64)}`, pem)
wrapped('utf-16le-mark', utf16(jsonKey, false, true), json)
wrapped('utf-16le', utf16(jsonKey, false, false), json)
wrapped('utf-16be-mark', utf16(jsonKey, true, true), json)
wrapped('utf-16be', utf16(keyPem, true, false), pem)
wrapped('utf-32', utf32(keyPem), pem)
wrapped('utf-8-mark', `\ufeff${jsonKey}`, json)
wrapped(
  'label-lower-case',
  keyPem.replaceAll('PRIVATE KEY', 'private key').replaceAll(/BEGIN|END/g, (w) => w.toLowerCase()),
  pem,
)
wrapped(
  'label-spaces',
  keyPem.replaceAll('PRIVATE KEY', ' PRIVATE   KEY ').replaceAll('-----BEGIN', '----- BEGIN'),
  pem,
)
wrapped('pem-one-line', keyPem.replaceAll('\n', ' '), pem)
wrapped('pem-behind-csr', `${csrPem}${keyPem}`, pem)
wrapped('json-pem-behind-csr', JSON.stringify({ csr: `${csrPem}${keyPem}` }), json)
wrapped('pem-other-label', toPem('SOMETHING', key), pem)
wrapped('der-behind-csr', concatBytes(csr, key), der)
wrapped('der-before-csr', concatBytes(key, csr), der)
wrapped('json-base64-behind-csr', JSON.stringify({ csr: toBase64(concatBytes(csr, key)) }), json)
wrapped('json-beside-csr', JSON.stringify({ csr: csrPem, note: `my key is ${base64} and thank you` }), json)
wrapped(
  'der-inside-csr-attribute',
  sequence(sequence(smallInteger(0), encodeElement(contextConstructed(0), octets(key)))),
  der,
)
const csrWith = (attribute: Uint8Array | string): Uint8Array =>
  sequence(
    sequence(
      smallInteger(0),
      encodeElement(contextConstructed(0), octets(typeof attribute === 'string' ? bytesOf(attribute) : attribute)),
    ),
  )
wrapped('base64-inside-csr-in-json', JSON.stringify({ csr: toBase64(csrWith(base64)) }), json)
wrapped('hex-inside-csr-in-json', JSON.stringify({ csr: toBase64(csrWith(toHex(key))) }), json)
wrapped('base64-inside-csr-in-pem', toPem('CERTIFICATE REQUEST', csrWith(base64)), pem)
wrapped('base64-behind-prefix-of-three', JSON.stringify({ appVersion: `sk_${base64}` }), json)
wrapped('base64-behind-prefix-of-five', JSON.stringify({ appVersion: `prod_${base64}` }), json)
wrapped('base64-behind-prefix-of-letters', JSON.stringify({ appVersion: `ab${base64}` }), json)
const explicit = ['-ec_param_enc', 'explicit', '-ec_conv_form', 'uncompressed']
for (const name of ['p256', 'p384', 'p521'] as const) {
  const file = join(out, `sec1-explicit-parameters-${name}.body`)
  const traditional = openssl(
    'pkey',
    '-inform',
    'DER',
    '-in',
    join(out, `key-${name}.body`),
    ...explicit,
    '-outform',
    'DER',
  )
  write(`sec1-explicit-parameters-${name}`, 'sec1', traditional, der, name)
  const wrapping = openssl('pkcs8', '-topk8', '-nocrypt', '-inform', 'DER', '-in', file, '-outform', 'DER')
  write(`pkcs8-explicit-parameters-${name}`, 'pkcs8', wrapping, der, name)
}
write(
  'other-label-pem',
  'other-pem',
  `-----BEGIN ANY PRIVATE KEY-----\nAAAA\n-----END ANY PRIVATE KEY-----\n`,
  pem,
  null,
)
write('label-alone', 'pkcs8', JSON.stringify({ csr: '-----BEGIN PRIVATE KEY-----' }), json, null)

// Forged: the private value is one's own, and what stands beside it is a stranger's

const curveParameters = encodeElement(contextConstructed(0), encodeObjectIdentifier('1.2.840.10045.3.1.7'))
const forgedSec1 = sequence(
  smallInteger(1),
  octets(member('p256', 'd')),
  curveParameters,
  encodeElement(contextConstructed(1), encodeElement(tag.bitString, Uint8Array.of(0), point('p256-stranger'))),
)
const ecIdentifier = sequence(
  encodeObjectIdentifier('1.2.840.10045.2.1'),
  encodeObjectIdentifier('1.2.840.10045.3.1.7'),
)
const numbers = (own: readonly ('n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi')[]) =>
  (['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const).map((part) =>
    unsigned(member(own.includes(part) ? 'rsa' : 'rsa-stranger', part)),
  )
const forgedPkcs1 = (...own: readonly ('n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi')[]) =>
  sequence(smallInteger(0), ...numbers(own))
const ownSecrets = ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const
const seedPkcs8 = (publicOf: string) =>
  sequence(
    smallInteger(1),
    sequence(encodeObjectIdentifier('1.3.101.112')),
    octets(octets(member('ed25519', 'd'))),
    encodeElement(0x81, Uint8Array.of(0), member(publicOf, 'x')),
  )
const one = Uint8Array.of(1)
const strangersModulusAsPrime = sequence(
  smallInteger(0),
  unsigned(member('rsa-stranger', 'n')),
  unsigned(member('rsa-stranger', 'e')),
  unsigned(member('rsa', 'd')),
  unsigned(member('rsa-stranger', 'n')),
  unsigned(one),
  unsigned(one),
  unsigned(one),
  unsigned(one),
)
forge('sec1', 'public-point', forgedSec1, der, 'p256', 'p256-stranger')
forge(
  'pkcs8',
  'public-point',
  sequence(smallInteger(0), ecIdentifier, octets(forgedSec1)),
  der,
  'p256',
  'p256-stranger',
)
forge('pkcs8', 'ed25519-public-key', seedPkcs8('ed25519-stranger'), der, 'ed25519', 'ed25519-stranger')
forge('pkcs1', 'modulus', forgedPkcs1(...ownSecrets), der, 'rsa', 'rsa-stranger')
forge('pkcs1', 'modulus-and-private-exponent', forgedPkcs1('p', 'q', 'dp', 'dq', 'qi'), der, null, 'rsa-stranger')
forge('pkcs1', 'modulus-as-prime', strangersModulusAsPrime, der, null, 'rsa-stranger')
forge(
  'openssh',
  'ed25519-public-blob',
  ed25519OpenSsh('ed25519', 'ed25519-stranger'),
  der,
  'ed25519',
  'ed25519-stranger',
)
forge('openssh', 'ec-public-blob', ecOpenSsh('p256', 'p256-stranger'), der, 'p256', 'p256-stranger')
forge('pgp', 'rsa-modulus', pgpRsa('new', 'rsa', 'rsa-stranger'), der, 'rsa', 'rsa-stranger')
forge('pgp', 'ec-point', pgpEc('p256', 'p256-stranger'), der, 'p256', 'p256-stranger')
const forgedBlob = Uint8Array.from(blob)
forgedBlob.set(member('rsa-stranger', 'n').toReversed(), 20)
forge('ms-blob', 'modulus', forgedBlob, der, 'rsa', 'rsa-stranger')
const strangersPublicLines = toBase64(ed25519Blob('ed25519-stranger')).replace(/.{64}/, '$&\n')
const forgedPpk = ppk.replace(/(Public-Lines: 2\r?\n)[^\n]+\n[^\n]+/, `$1${strangersPublicLines}`)
forge('putty', 'public-lines', forgedPpk, pem, 'ed25519', 'ed25519-stranger')
const { x, y } = jwk('p256-stranger')
forge('jwk', 'point', JSON.stringify({ ...jwk('p256'), x, y }), json, 'p256', 'p256-stranger')
forge(
  'jwk',
  'ed25519-x',
  JSON.stringify({ ...jwk('ed25519'), x: jwk('ed25519-stranger').x }),
  json,
  'ed25519',
  'ed25519-stranger',
)
const strangersN = jwk('rsa-stranger').n
forge('jwk', 'modulus', JSON.stringify({ ...jwk('rsa'), n: strangersN }), json, 'rsa', 'rsa-stranger')
forge('jwk', 'modulus-without-primes', JSON.stringify({ kty, n: strangersN, e, d }), json, null, 'rsa-stranger')

writeFileSync(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
writeFileSync(
  join(out, 'README.md'),
  `# Fixtures: bodies that hold a private key

**Every key here was made by \`../make-private-keys.ts\` for these files, was thrown away into them, and protects nothing.
Never use one.** The files are here because the service must refuse each of them; the passwords are all \`${word}\`.

\`manifest.json\` says of each file its form, the content type it is sent with, and whose public key is recovered from it
(\`null\`: none can be). \`key-NAME.body\` is the key NAME by itself, as PKCS#8; \`public-key-gnupg.der\` is the public key of
the one that GnuPG made. A name is the form and what is special about it; \`wrapped-*\` hold one and the same PKCS#8 key
in many wrappings. \`forged-*\` hold somebody's own private value beside a stranger's public part: what is recovered is
never the stranger's.
`,
)
rmSync(work, { recursive: true })
console.log(`${manifest.length} bodies`)
