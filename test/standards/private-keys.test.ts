import fc from 'fast-check'
import { generateKeyPairSync, sign } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { encodeElement, tag } from '../../src/pki/der.ts'
import { toBase64, toHex } from '../../src/pki/encoding.ts'
import { findPrivateKey, searchForPrivateKey } from '../../src/pki/private-keys/detect.ts'
import { privateKeyFormNames } from '../../src/pki/private-keys/form.ts'
import { recoverPublicKey } from '../../src/pki/private-keys/recover.ts'
import { harmlessBodies, privateKeyForms, publicKeyOf } from './private-key-forms.ts'
import { toPem } from '../support/pem.ts'
import { runs } from '../support/thorough.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
/** A DER structure around text, as the attribute of a CSR is. */
const sequenceOf = (text: Uint8Array): Uint8Array => encodeElement(tag.sequence, encodeElement(tag.octetString, text))

const json = (value: unknown): Uint8Array => bytesOf(JSON.stringify(value))

/** The runtime of these tests has no brainpool curves in Web Crypto, so those keys cannot be proved by it. */
const provable = (key: string | null): boolean => key !== null && key !== 'brainpool'

async function recovered(body: Uint8Array): Promise<string | null> {
  const finding = findPrivateKey(body)
  if (finding === null) throw new Error('no private key was found')
  const spki = await recoverPublicKey(crypto, finding.candidates)
  return spki === null ? null : toHex(spki)
}

describe('private keys are found, whatever they are wrapped in', () => {
  it('the fixtures show every form that has a name', () => {
    expect(new Set(privateKeyForms.map(({ form }) => form))).toEqual(new Set(privateKeyFormNames))
    expect(privateKeyForms.length).toBeGreaterThan(100)
  })

  it.each(privateKeyForms.map(({ name, form, body }) => [name, form, body] as const))('%s', (_name, form, body) => {
    expect(findPrivateKey(body)?.form).toBe(form)
  })

  // These have layers already, or are a mere label.
  const encoded = /base64|hex|other-label|beside-csr|label-alone/
  const plain = privateKeyForms.filter(({ name, disguised }) => !disguised && !encoded.test(name))

  it.each(plain.map(({ name, body }) => [name, body] as const))(
    '%s, through a layer more and beside text',
    (_name, body) => {
      for (const text of [toBase64(body), toHex(body)]) {
        expect(findPrivateKey(bytesOf(text))).not.toBeNull()
        expect(findPrivateKey(json({ a: ['x', `some words, then ${text}`] }))).not.toBeNull()
      }
      const before = bytesOf('{"note":"something else"} ')
      expect(findPrivateKey(Uint8Array.from([...before, ...body]))).not.toBeNull()
    },
  )
})

describe('the public key is computed from the private value alone', () => {
  const honest = privateKeyForms.filter(({ stranger }) => stranger === null)

  it.each(honest.filter(({ key }) => provable(key)).map(({ name, key, body }) => [name, key ?? '', body] as const))(
    '%s yields the key %s',
    async (_name, key, body) => {
      expect(await recovered(body)).toBe(toHex(publicKeyOf(key)))
    },
  )

  it.each(honest.filter(({ key }) => !provable(key)).map(({ name, body }) => [name, body] as const))(
    '%s yields nothing',
    async (_name, body) => {
      expect(await recovered(body)).toBeNull()
    },
  )

  const forged = privateKeyForms.filter(({ stranger }) => stranger !== null)
  it.each(forged.map(({ name, key, stranger, body }) => [name, key, stranger ?? '', body] as const))(
    '%s yields %s and never %s',
    async (_name, key, stranger, body) => {
      const spki = await recovered(body)
      expect(spki).toBe(key === null ? null : toHex(publicKeyOf(key)))
      expect(spki).not.toBe(toHex(publicKeyOf(stranger)))
    },
  )

  it('SEC 1 private values at the edges of the range', async () => {
    const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
    const body = (value: string) => bytesOf(`30250201010420${value}`)
    expect(await recovered(body('0'.repeat(64)))).toBeNull()
    expect(await recovered(body(order))).toBeNull()
    expect(await recovered(body('f'.repeat(64)))).toBeNull()
    const base = '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'
    expect(await recovered(body(`${'0'.repeat(63)}1`))).toContain(base)
    expect(await recovered(body(order.replace(/1$/, '0')))).toContain(base)
  })

  it('an RSA key larger than 8192 bits is left alone', async () => {
    const large = Buffer.alloc(520, 0xff).toString('base64url')
    expect(await recovered(json({ kty: 'RSA', n: large, e: 'AQAB', d: large, p: large, q: large }))).toBeNull()
    expect(await recovered(json({ kty: 'RSA', n: large, e: 'AQAB', d: large }))).toBeNull()
  })

  it('of keys that take long to read, only the first is', async () => {
    const body = privateKeyForms.find(({ name }) => name === 'jwk-rsa-without-primes')?.body ?? new Uint8Array()
    const stranger = privateKeyForms.find(({ name }) => name === 'forged-jwk-modulus-without-primes')?.body
    expect(await recovered(Uint8Array.from([...body, ...(stranger ?? [])]))).toBe(toHex(publicKeyOf('rsa')))
    expect(await recovered(Uint8Array.from([...(stranger ?? []), ...body]))).toBeNull()
  })

  it('the second key counts where the first cannot be read', async () => {
    const bodies = new Map(privateKeyForms.map(({ name, body }) => [name, body]))
    const both = [...(bodies.get('encrypted-pkcs8-pbes2-pem') ?? []), ...(bodies.get('sec1-pem-p384') ?? [])]
    expect(await recovered(Uint8Array.from(both))).toBe(toHex(publicKeyOf('p384')))
  })
})

describe('what holds no private key is let through', () => {
  const folder = new URL('../../certs-fixtures/', import.meta.url)
  const files = readdirSync(folder).filter((name) => /\.(pem|der)$/.test(name))

  it.each(files)('%s', (name) => {
    const body = new Uint8Array(readFileSync(new URL(name, folder)))
    expect(findPrivateKey(body)).toBeNull()
    for (const text of [Buffer.from(body).toString(), toBase64(body), toHex(body)]) {
      expect(findPrivateKey(json({ csr: text, mailbox: 'alice@example.com', use: 'dual' }))).toBeNull()
      expect(findPrivateKey(new Uint8Array(Buffer.from(text, 'utf16le')))).toBeNull()
    }
  })

  it.each(harmlessBodies.map(({ name, body }) => [name, body] as const))('%s', (_name, body) => {
    expect(findPrivateKey(body)).toBeNull()
  })

  const publicKeys = ['rsa', 'p256', 'p384', 'p521', 'ed25519', 'x25519', 'brainpool'].map(publicKeyOf)
  const addresses = Array.from({ length: 100 }, (_, index) => `somebody.${index}@private-key.example.com`)

  it.each([
    ['a lookup of 100 addresses', { addresses, purpose: 'encrypt' }],
    ['public keys', { keys: publicKeys.map((key) => ({ spki: toBase64(key), pem: toPem('PUBLIC KEY', key) })) }],
    [
      'public keys behind a prefix',
      { keys: publicKeys.map((key) => [`sk_${toBase64(key)}`, `prod_${toBase64(key)}`]) },
    ],
    ['a public key in a structure', { csr: publicKeys.map((key) => toBase64(sequenceOf(bytesOf(toBase64(key))))) }],
    ['a public JSON Web Key', { jwk: { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' }, d: 'beside the key' }],
    ['a JSON Web Key without a value', { kty: 'EC', d: '' }],
    ['fingerprints', { sha256: toHex(crypto.getRandomValues(new Uint8Array(32))) }],
    ['a sentence', { reason: 'My private key was lost -- it began with "BEGIN"; the front-end private key too.' }],
    ['answers to a policy', { answers: [{ question: 'Where is the private key?', answer: 'on the device, d: 5' }] }],
    ['names of fields', { privateKey: false, 'Private-Lines': 1, kty: 'RSA', PrivateKey: ['PRIVATE', 'KEY'] }],
  ])('%s', (_name, value) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2), JSON.stringify(JSON.stringify(value))]) {
      expect(findPrivateKey(bytesOf(text))).toBeNull()
    }
  })

  it('signatures and proofs', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    for (let round = 0; round < 300; round++) {
      const proof = new Uint8Array(sign('sha256', bytesOf(`certbook-pop-v1\n${round}`), privateKey))
      expect(findPrivateKey(json({ proof: toBase64(proof) }))).toBeNull()
    }
  })

  it('random bytes, as they are and encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => {
        expect(findPrivateKey(bytes)).toBeNull()
        expect(findPrivateKey(json({ csr: toBase64(bytes) }))).toBeNull()
        expect(findPrivateKey(json({ csr: toHex(bytes) }))).toBeNull()
      }),
      { numRuns: runs(1000) },
    )
  })
})

describe('the work is bounded', () => {
  /** Steps for each byte: what one place may cost in every view and reading, of what is sent and of what is decoded. */
  const stepsForEachByte = 60

  /** Of bodies as anybody honest sends them, and of the same bytes in other clothes. A step is a nanosecond or two. */
  const usualStepsForEachByte = 20

  const fragments = [
    '-----BEGIN ',
    'PRIVATE KEY',
    '-----',
    '--',
    'private ',
    '{"kty":"EC",',
    '"d":"AAAA"',
    '{',
    '}',
    '"',
    ':',
    ': ',
    String.raw`\u005c`,
    '\\',
    '%25',
    '%',
    ' ',
    '\n',
    'A ',
    'AA ',
    '0x',
    '30 ',
    '3080',
    '0201',
    'MII',
    '=',
    'PuTTY-User-Key-File-3: ',
    'Private-Lines: 9',
    'openssh-key-v1\0',
    '\0',
    '\u00c3\u0080',
    'MIIEvQIBADAN',
    'VVVV',
    'private key ',
    'BEGIN private key',
    '<D>',
    '"d":"',
    'priv:\n',
    '48,130,',
    '\u001f\u008b\b\0',
    'PK\u0003\u0004',
    '00000000: 3082 0201\n',
    `<D>${'Ab3'.repeat(15)}<`,
    '<Modulus>',
    `"d":"${'Ab3'.repeat(14)}A"`,
    `PrivateKey: ${'Ab3'.repeat(15)}\n`,
  ]

  it('any text made of what is looked for is read in linear time', async () => {
    const texts = fc.array(fc.constantFrom(...fragments), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 200 }), async (parts, times) => {
        const body = bytesOf(parts.join('').repeat(times)).subarray(0, 160 * 1024)
        for (const bytes of [body, bytesOf(toBase64(body)), bytesOf(toHex(body))]) {
          const { finding, steps } = searchForPrivateKey(bytes)
          expect(steps).toBeLessThanOrEqual(stepsForEachByte * (bytes.length + 100))
          if (finding !== null) await recoverPublicKey(crypto, finding.candidates)
        }
      }),
      { numRuns: runs(300) },
    )
  })

  it('any bytes in which a key was cut short or changed are read without a throw', async () => {
    const changed = fc.record({
      from: fc.constantFrom(...privateKeyForms),
      cut: fc.double({ min: 0, max: 1, noNaN: true }),
      place: fc.nat(),
      octet: fc.nat(255),
    })
    await fc.assert(
      fc.asyncProperty(changed, async ({ from, cut, place, octet }) => {
        const body = from.body.slice(0, Math.ceil(from.body.length * cut))
        if (body.length > 0) body[place % body.length] = octet
        const { finding, steps } = searchForPrivateKey(body)
        expect(steps).toBeLessThanOrEqual(stepsForEachByte * (body.length + 100))
        if (finding !== null) await recoverPublicKey(crypto, finding.candidates)
      }),
      { numRuns: runs(500) },
    )
  })

  it('text of what is looked for inside structures inside base64, over and over', () => {
    for (const fragment of fragments) {
      const inner = bytesOf(fragment.repeat(40_000)).subarray(0, 30_000)
      for (const text of [inner, bytesOf(toBase64(inner)), bytesOf(toHex(inner))]) {
        const body = json([toBase64(sequenceOf(text)), toBase64(sequenceOf(text))])
        expect(searchForPrivateKey(body).steps).toBeLessThanOrEqual(stepsForEachByte * body.length)
      }
    }
  })

  const size = 96 * 1024
  const noise = Uint8Array.from({ length: size }, (_, index) => (Math.imul(index + 1, 2_654_435_761) >>> 11) & 0xff)
  const addresses = Array.from({ length: 1000 }, (_, index) => `somebody.${index}@department-${index % 7}.example.com`)
  const usual: readonly [string, Uint8Array][] = [
    ['a lookup', json({ addresses, purpose: 'encrypt' })],
    ['a lookup, indented', bytesOf(JSON.stringify({ addresses }, null, 2))],
    ['prose', bytesOf('The quick brown fox jumps over the lazy dog, and 12 is 3 times 4. '.repeat(2000))],
    ['bytes', noise],
    ['bytes in base64', json({ csr: toBase64(noise) })],
    ['bytes in base64, in lines', json({ csr: toBase64(noise).replaceAll(/.{64}/g, '$&\n') })],
    ['bytes in hexadecimal', json({ csr: toHex(noise) })],
    ['bytes as numbers', json({ csr: Array.from(noise) })],
    ['bytes in base64 twice', json({ csr: toBase64(bytesOf(toBase64(noise))) })],
    ['a structure', sequenceOf(noise)],
    ['a structure in base64', json({ csr: toBase64(sequenceOf(noise.subarray(0, size / 2))) })],
  ]

  it.each(usual)('the largest body of a route: %s', (_name, whole) => {
    const body = whole.subarray(0, size)
    expect(searchForPrivateKey(body).steps).toBeLessThanOrEqual(usualStepsForEachByte * body.length)
  })

  /** What one search costs this thread, in milliseconds, and not what else the machine did. The mean of many. */
  const costOf = (body: Uint8Array): number => {
    const times = 20
    const start = process.threadCpuUsage()
    for (let time = 0; time < times; time++) searchForPrivateKey(body)
    const { user, system } = process.threadCpuUsage(start)
    return (user + system) / 1000 / times
  }

  const textOf = (unit: string, length: number): Uint8Array =>
    bytesOf(unit.repeat(length / unit.length + 1).slice(0, length))
  const value = `${'Ab3'.repeat(14)}A`
  /** Compressed twice to next to nothing, and padded. */
  const packed = (unit: string): Uint8Array => {
    const stream = gzipSync(textOf(unit, 4 * size))
    return Uint8Array.from([...stream, ...stream, ...new Uint8Array(size).fill(0x41)]).subarray(0, size)
  }
  /** Blocks of DEFLATE that hold nothing but their codes, one after the other, in `streams` of gzip. */
  const blocks = (streams: number): Uint8Array => {
    // RFC 1951 section 3.2.7: 257 lengths and one, of which only those of the end and of the distance are not 0.
    const block = `00100000000000111000000100${'000'.repeat(14)}1001111111111101011000`
    const bits = Array.from({ length: 700 }, () => block).join('')
    const stream = Uint8Array.from(bits.match(/.{8}/g) ?? [], (octet) =>
      parseInt(octet.split('').toReversed().join(''), 2),
    )
    const whole = Array.from({ length: streams }, () => [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, ...stream]).flat()
    return Uint8Array.from([...whole, ...new Uint8Array(size).fill(0x41)]).subarray(0, size)
  }

  const made: readonly [string, Uint8Array][] = [
    ['values of XML without a modulus', textOf(`<D>${value}<`, size)],
    ['values of one endless object', textOf(`"d":"${value}",`, size)],
    ['objects that are never closed', textOf(`{"d":"${value}",`, size)],
    ['values of XML, compressed', packed(`<D>${value}<`)],
    ['prose, compressed', packed('The quick brown fox jumps over the lazy dog. ')],
    ['codes and nothing else, compressed', blocks(4)],
  ]

  it.each(made)('a body that was made to cost costs less than twenty honest ones of its size: %s', (_name, body) => {
    expect(searchForPrivateKey(body).steps).toBeLessThanOrEqual((stepsForEachByte / 2) * body.length)
    const honest = json({ csr: toBase64(noise) }).subarray(0, body.length)
    expect(costOf(body) / costOf(honest)).toBeLessThan(20)
  })

  it('160 KiB of any fragment', () => {
    for (const fragment of fragments) {
      const body = bytesOf(fragment.repeat(160 * 1024)).subarray(0, 160 * 1024)
      expect(searchForPrivateKey(body).steps).toBeLessThanOrEqual(stepsForEachByte * body.length)
    }
  })
})
