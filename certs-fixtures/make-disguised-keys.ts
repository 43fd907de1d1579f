/**
 * Makes every file of `private-keys-disguised/` anew, from the keys of `private-keys/`:
 * `node certs-fixtures/make-disguised-keys.ts`. Needs the programs `openssl` (3.0 or newer), `xxd`, `hexdump` and `od`.
 */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, deflateRawSync, gzipSync } from 'node:zlib'
import { contextConstructed, encodeElement, tag } from '../src/pki/der.ts'
import { concatBytes, toBase64, toHex } from '../src/pki/encoding.ts'
import { toPem } from '../test/support/pem.ts'

const out = join(import.meta.dirname, 'private-keys-disguised')
rmSync(out, { recursive: true, force: true })
mkdirSync(out)

const json = 'application/json'
const pem = 'application/x-pem-file'
const der = 'application/pkcs10'

/** `form` is null where the body holds no private key; `key` is whose public key is recovered. */
const manifest: { file: string; form: string | null; contentType: string; key: string | null }[] = []

function write(name: string, body: Uint8Array | string, contentType: string, form: string | null, key: string | null) {
  writeFileSync(join(out, `${name}.body`), body)
  manifest.push({ file: `${name}.body`, form, contentType, key })
}
const harmless = (name: string, body: Uint8Array | string, contentType: string) =>
  write(`harmless-${name}`, body, contentType, null, null)

const bytesOf = (text: string) => new TextEncoder().encode(text)
const run = (input: Uint8Array, program: string, ...parameters: string[]) =>
  new Uint8Array(execFileSync(program, parameters, { input }))
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const inJson = (value: unknown) => JSON.stringify({ csr: value, use: 'dual' })

const keyBytes = (name: string) =>
  new Uint8Array(readFileSync(join(import.meta.dirname, 'private-keys', `key-${name}.body`)))
const keyOf = (name: string) => createPrivateKey({ key: Buffer.from(keyBytes(name)), format: 'der', type: 'pkcs8' })
const jwk = (name: string) => keyOf(name).export({ format: 'jwk' })
const spki = (name: string) => new Uint8Array(createPublicKey(keyOf(name)).export({ type: 'spki', format: 'der' }))
const key = keyBytes('p256')
const keyPem = toPem('PRIVATE KEY', key)
const certificatePem = readFileSync(join(import.meta.dirname, 'cert-p256-dual.pem'), 'utf8')
const certificate = new Uint8Array(Buffer.from(certificatePem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'))
const base64Url = (name: string, part: 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi') => jwk(name)[part] ?? ''
const base64 = (name: string, part: 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi') =>
  Buffer.from(base64Url(name, part), 'base64url').toString('base64')

/** A CSR's skeleton whose attribute holds something. */
const csrWith = (attribute: Uint8Array): string =>
  toBase64(
    encodeElement(
      tag.sequence,
      encodeElement(
        tag.sequence,
        encodeElement(tag.integer, Uint8Array.of(0)),
        encodeElement(contextConstructed(0), encodeElement(tag.octetString, attribute)),
      ),
    ),
  )

/** A ZIP archive as far as readers of a stream see it. */
function zip(...files: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...files.flatMap((file, index) => {
      const packed = new Uint8Array(deflateRawSync(file))
      const name = bytesOf(`file-${index}`)
      const header = new DataView(new ArrayBuffer(30))
      header.setUint32(0, 0x04034b50, true)
      header.setUint16(4, 20, true)
      header.setUint16(8, 8, true)
      header.setUint32(14, crc32(file), true)
      header.setUint32(18, packed.length, true)
      header.setUint32(22, file.length, true)
      header.setUint16(26, name.length, true)
      return [new Uint8Array(header.buffer), name, packed]
    }),
  )
}
const gzip = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes))

// Compressed

write('gzip-of-der', gzip(key), der, 'pkcs8', 'p256')
write('gzip-of-pem-in-json-base64', inJson(toBase64(gzip(bytesOf(keyPem)))), json, 'pkcs8', 'p256')
write('gzip-of-json-with-base64', gzip(bytesOf(inJson(toBase64(key)))), der, 'pkcs8', 'p256')
write('zip-of-pem', zip(bytesOf(keyPem)), der, 'pkcs8', 'p256')
write('zip-second-file', inJson(toBase64(zip(certificate, keyBytes('rsa')))), json, 'pkcs8', 'rsa')
const noise = Uint8Array.from({ length: 6_000 }, (_, index) => (Math.imul(index + 1, 2_654_435_761) >>> 13) & 0xff)
harmless('gzip-of-a-photo', inJson(toBase64(gzip(concatBytes(bytesOf('\u00ff\u00d8JFIF'), noise)))), json)
harmless('gzip-of-a-certificate', gzip(bytesOf(certificatePem)), der)
harmless('zip-of-certificates', zip(certificate, bytesOf(certificatePem)), der)
harmless('gzip-of-zeros', inJson(toBase64(gzip(new Uint8Array(4_000_000)))), json)
harmless('gzip-cut-short', gzip(bytesOf(certificatePem)).subarray(0, 200), der)

// Encoded twice

const twice = (bytes: Uint8Array) => toBase64(bytesOf(toBase64(bytes)))
write('base64-twice-of-der', inJson(twice(key)), json, 'pkcs8', 'p256')
write('base64-twice-of-pem', inJson(twice(bytesOf(keyPem))), json, 'pkcs8', 'p256')
write('base64-twice-in-lines', twice(keyBytes('rsa')).replaceAll(/.{64}/g, '$&\n'), pem, 'pkcs8', 'rsa')
write('base64-twice-behind-a-prefix', inJson(`prod_${twice(key)}`), json, 'pkcs8', 'p256')
write('base64-of-hex', inJson(toBase64(bytesOf(toHex(key)))), json, 'pkcs8', 'p256')
write('hex-of-base64', inJson(toHex(bytesOf(toBase64(key)))), json, 'pkcs8', 'p256')
harmless('base64-twice-of-a-certificate', inJson(twice(certificate)), json)
harmless('hex-of-base64-of-a-certificate', inJson(toHex(bytesOf(toBase64(certificate)))), json)

// Dumps

const dumps = {
  xxd: (bytes: Uint8Array) => textOf(run(bytes, 'xxd')),
  'hexdump-c': (bytes: Uint8Array) => textOf(run(bytes, 'hexdump', '-C')),
  od: (bytes: Uint8Array) => textOf(run(bytes, 'od', '-tx1')),
}
for (const [name, dump] of Object.entries(dumps)) {
  write(`${name}-of-der`, dump(keyBytes('rsa')), pem, 'pkcs8', 'rsa')
  write(`${name}-of-pem-in-json`, inJson(`my key:\n${dump(bytesOf(keyPem))}`), json, 'pkcs8', 'p256')
  harmless(`${name}-of-a-certificate`, inJson(dump(certificate)), json)
}
write('xxd-plain', textOf(run(key, 'xxd', '-p')), pem, 'pkcs8', 'p256')
write('xxd-in-c', textOf(run(key, 'xxd', '-i')), pem, 'pkcs8', 'p256')

// What OpenSSL prints

const printed = (name: string, ...flags: string[]) =>
  textOf(run(keyBytes(name), 'openssl', 'pkey', '-inform', 'DER', '-noout', ...flags))
for (const name of ['rsa', 'p256', 'p384', 'p521', 'ed25519', 'x25519']) {
  write(`openssl-text-${name}`, printed(name, '-text'), pem, 'openssl-text', name)
  harmless(`openssl-text-of-a-public-key-${name}`, inJson(printed(name, '-text_pub')), json)
}
write('openssl-text-in-json', inJson(printed('p256', '-text')), json, 'openssl-text', 'p256')
harmless('openssl-text-of-a-certificate', run(bytesOf(certificatePem), 'openssl', 'x509', '-noout', '-text'), pem)

// Lists of numbers

const signed = (bytes: Uint8Array) => Array.from(new Int8Array(bytes))
write('list-of-bytes', inJson([...key]), json, 'pkcs8', 'p256')
write('list-of-bytes-indented', JSON.stringify({ key: [...keyBytes('rsa')] }, null, 2), json, 'pkcs8', 'rsa')
write('list-of-signed-bytes', inJson(signed(key)), json, 'pkcs8', 'p256')
write('list-of-bytes-of-pem', inJson([...bytesOf(keyPem)]), json, 'pkcs8', 'p256')
write('object-of-bytes', inJson(Object.fromEntries(key.entries())), json, 'pkcs8', 'p256')
write('buffer-in-json', inJson(Buffer.from(key)), json, 'pkcs8', 'p256')
harmless('list-of-numbers', inJson(Array.from({ length: 400 }, (_, index) => index % 256)), json)
harmless('list-of-bytes-of-a-certificate', inJson([...certificate]), json)
harmless('object-of-bytes-of-a-certificate', inJson(Object.fromEntries(certificate.entries())), json)

// Values with names

const xml = (...parts: readonly (readonly [string, 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi'])[]) =>
  `<RSAKeyValue>${parts.map(([name, part]) => `<${name}>${base64('rsa', part)}</${name}>`).join('')}</RSAKeyValue>`
const publicParts = [
  ['Modulus', 'n'],
  ['Exponent', 'e'],
] as const
const privateParts = [
  ['P', 'p'],
  ['Q', 'q'],
  ['DP', 'dp'],
  ['DQ', 'dq'],
  ['InverseQ', 'qi'],
  ['D', 'd'],
] as const
write('net-xml', xml(...publicParts, ...privateParts), pem, 'rsa-xml', 'rsa')
write('net-xml-in-json', inJson(xml(...publicParts, ...privateParts)), json, 'rsa-xml', 'rsa')
write('net-xml-without-primes', inJson(xml(...publicParts, ['D', 'd'])), json, 'rsa-xml', null)
write('net-xml-indented', xml(...publicParts, ...privateParts).replaceAll('<', '\n  <'), pem, 'rsa-xml', 'rsa')
harmless('net-xml-public', inJson(xml(...publicParts)), json)
harmless('markup', inJson('<P>Thequickbrownfoxjumpsoverthelazydogandtheotherdogtoo</P>'), json)

const bindRsa = [
  'Private-key-format: v1.3',
  'Algorithm: 8 (RSASHA256)',
  ...(
    [
      ['Modulus', 'n'],
      ['PublicExponent', 'e'],
      ['PrivateExponent', 'd'],
      ['Prime1', 'p'],
      ['Prime2', 'q'],
      ['Exponent1', 'dp'],
      ['Exponent2', 'dq'],
      ['Coefficient', 'qi'],
    ] as const
  ).map(([name, part]) => `${name}: ${base64('rsa', part)}`),
  'Created: 20260101000000',
].join('\n')
const bind = (algorithm: string, name: string) =>
  `Private-key-format: v1.3\nAlgorithm: ${algorithm}\nPrivateKey: ${base64(name, 'd')}\nCreated: 20260101000000\n`
write('bind-rsa', bindRsa, pem, 'bind', 'rsa')
write('bind-p256', bind('13 (ECDSAP256SHA256)', 'p256'), pem, 'bind', 'p256')
write('bind-p384', inJson(bind('14 (ECDSAP384SHA384)', 'p384')), json, 'bind', 'p384')
write('bind-ed25519', inJson(bind('15 (ED25519)', 'ed25519')), json, 'bind', 'ed25519')
harmless('bind-public', inJson(`example.com. IN DNSKEY 257 3 8 AwEAAQ${base64('rsa', 'n')}`), json)
harmless('sentence', inJson('PrivateKey: we have none of them here and never had any of them at all'), json)

const { crv, x, y, d } = jwk('p256')
write('jwk-d-alone', JSON.stringify({ d }), json, 'jwk', null)
write('jwk-d-alone-rsa', inJson({ d: base64Url('rsa', 'd') }), json, 'jwk', null)
write('jwk-curve-without-type', inJson({ crv, d }), json, 'jwk', 'p256')
write('jwk-point-without-type', inJson({ x, y, d }), json, 'jwk', 'p256')
write(
  'jwk-ed25519-without-type',
  inJson(JSON.stringify({ crv: 'Ed25519', d: jwk('ed25519').d })),
  json,
  'jwk',
  'ed25519',
)
const ofRsa = jwk('rsa')
write('jwk-rsa-without-type', inJson({ n: ofRsa.n, e: ofRsa.e, d: ofRsa.d }), json, 'jwk', 'rsa')
harmless('jwk-public-without-type', inJson({ crv, x, y }), json)
harmless('d-of-another-size', inJson({ d: toHex(spki('p256')).slice(0, 50), e: x }), json)

// Inside the attribute of a CSR, and among the facts of a device

const inside: [string, Uint8Array | string, string][] = [
  ['gzip', gzip(bytesOf(keyPem)), 'pkcs8'],
  ['zip', zip(key), 'pkcs8'],
  ['base64-twice', twice(key), 'pkcs8'],
  ['xxd', dumps.xxd(key), 'pkcs8'],
  ['list-of-bytes', JSON.stringify([...key]), 'pkcs8'],
  ['openssl-text', printed('p256', '-text'), 'openssl-text'],
  ['net-xml', xml(...publicParts, ...privateParts), 'rsa-xml'],
  ['bind', bind('13', 'p256'), 'bind'],
  ['jwk-curve-without-type', JSON.stringify({ crv, d }), 'jwk'],
]
for (const [name, content, form] of inside) {
  const whose = form === 'rsa-xml' ? 'rsa' : 'p256'
  const bytes = typeof content === 'string' ? bytesOf(content) : content
  const text = typeof content === 'string' ? content : toBase64(content)
  write(`${name}-inside-csr-in-json`, inJson(csrWith(bytes)), json, form, whose)
  const registration = { email: 'alice@example.com', device: { appName: 'app', appVersion: text } }
  write(`${name}-among-device-facts`, JSON.stringify(registration), json, form, whose)
}
harmless('xxd-inside-csr-in-json', inJson(csrWith(bytesOf(dumps.xxd(certificate)))), json)
harmless('gzip-inside-csr-in-json', inJson(csrWith(gzip(certificate))), json)

writeFileSync(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
writeFileSync(
  join(out, 'README.md'),
  `# Fixtures: private keys in unusual clothes, and what only looks like one

Made by \`../make-disguised-keys.ts\` from the worthless keys of \`../private-keys\`. \`manifest.json\` says of each file its
form (\`null\`: it holds no private key, its name begins with \`harmless-\`, and it must pass), the content type it is sent
with, and whose public key is recovered from it (\`null\`: none can be).
`,
)
console.log(`${manifest.length} bodies`)
