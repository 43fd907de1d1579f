import { readdirSync } from 'node:fs'
import { Crypto as NodeCrypto } from '@peculiar/webcrypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DomainError } from '../../src/errors.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { readCertificateRequest } from '../../src/pki/certificate-request.ts'
import { checkCertificateRequest } from '../support/certificate-request.ts'
import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from '../../src/pki/der.ts'
import { concatBytes } from '../../src/pki/encoding.ts'
import { bitLength, isOddPower, isSquare, oddPrimesUpTo, squareRoot } from '../../src/pki/integers.ts'
import { checkPublicKey } from '../../src/pki/key-policy.ts'
import { checkRsaKey } from '../../src/pki/rsa-key.ts'
import { fixture } from './fixtures.ts'
import { runs } from '../support/thorough.ts'

const mailbox = parseMailboxAddress('alice@example.com')
const brainpool = new NodeCrypto()
const files = readdirSync(new URL('../../certs-fixtures/', import.meta.url)).filter((file) => file.startsWith('csr-'))
const requests = files
  // Two are no DER at all, and one is too long to be read as often as it is here.
  .filter((file) => !/no-base64|two-in-one|64-kib/.test(file))
  .map((file) => readCertificateRequest(fixture(file)))

/** A Crypto whose operations are counted: they are what costs, so their number bounds the work. */
function counting(provider: Crypto): { readonly crypto: Crypto; operations: number } {
  const counted = { operations: 0, crypto: provider }
  const subtle = new Proxy(provider.subtle, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...values: unknown[]) => {
        counted.operations += 1
        return member.apply(target, values)
      }
    },
  })
  counted.crypto = new Proxy(provider, {
    get: (target, name) => (name === 'subtle' ? subtle : Reflect.get(target, name)),
  })
  return counted
}

/** One import of a key, one verification, one digest; and one more import where a runtime wants the key otherwise. */
const mostOperations = 4

/** Whatever the bytes are: a result, or a refusal with a code, after a few operations at the most. */
async function requireVerdict(der: Uint8Array): Promise<void> {
  for (const use of ['sign', 'encrypt'] as const) {
    const [usual, onBrainpool] = [counting(crypto), counting(brainpool)]
    const rules = { use, profile: 'private', brainpool: onBrainpool.crypto, otherContents: 'refused' } as const
    try {
      await checkCertificateRequest(usual.crypto, der, mailbox, rules)
    } catch (error) {
      expect(error).toBeInstanceOf(DomainError)
    }
    expect(usual.operations + onBrainpool.operations).toBeLessThanOrEqual(mostOperations)
  }
}

function requireKeyVerdict(spki: Uint8Array): void {
  try {
    checkPublicKey(spki)
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError)
  }
}

function withBitFlipped(bytes: Uint8Array, position: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const index = position % (8 * copy.length)
  copy[index >> 3] = (copy[index >> 3] ?? 0) ^ (1 << (index & 7))
  return copy
}

describe('Policy rules 1 to 6: any bytes get a verdict', () => {
  const request = fc.constantFrom(...requests)

  it('requests with some of their bits changed', async () => {
    const property = fc.asyncProperty(request, fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), (der, positions) =>
      requireVerdict(positions.reduce(withBitFlipped, der)),
    )
    await fc.assert(property, { numRuns: runs(1500) })
  })

  it('requests that end early', async () => {
    await fc.assert(
      fc.asyncProperty(request, fc.nat(), (der, length) => requireVerdict(der.subarray(0, length % der.length))),
      { numRuns: runs(500) },
    )
  })

  it('random bytes', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), requireVerdict), { numRuns: runs(500) })
  })

  it('random keys under every algorithm there is', () => {
    const none = new Uint8Array()
    const curves = [
      '1.2.840.10045.3.1.7',
      '1.3.132.0.34',
      '1.3.132.0.35',
      '1.3.36.3.3.2.8.1.1.7',
      '1.3.36.3.3.2.8.1.1.13',
    ]
    const algorithms = [
      ...curves.map((curve) => concatBytes(encodeObjectIdentifier('1.2.840.10045.2.1'), encodeObjectIdentifier(curve))),
      concatBytes(encodeObjectIdentifier('1.2.840.113549.1.1.1'), encodeElement(tag.null)),
      encodeObjectIdentifier('1.3.101.112'),
      encodeObjectIdentifier('1.3.101.110'),
      none,
    ]
    const octets = fc.oneof(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ maxLength: 140 }),
      ...[65, 97, 133, 129].map((length) =>
        fc
          .uint8Array({ minLength: length, maxLength: length })
          .map((point) => concatBytes(Uint8Array.of(4), point.subarray(1))),
      ),
      fc
        .tuple(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 5 }))
        .map((numbers) => encodeElement(tag.sequence, ...numbers.map((number) => encodeElement(tag.integer, number)))),
    )
    fc.assert(
      fc.property(fc.constantFrom(...algorithms), octets, (algorithm, key) => {
        const bits = encodeElement(tag.bitString, Uint8Array.of(0), key)
        requireKeyVerdict(encodeElement(tag.sequence, encodeElement(tag.sequence, algorithm), bits))
      }),
      { numRuns: runs(5000) },
    )
  })

  it('attributes and names of any content in a request that is signed', async () => {
    const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
    const extension = (value: Uint8Array) =>
      encodeElement(tag.sequence, encodeObjectIdentifier('2.5.29.17'), encodeElement(tag.octetString, value))
    const asked = (value: Uint8Array) =>
      encodeElement(
        tag.sequence,
        encodeObjectIdentifier('1.2.840.113549.1.9.14'),
        encodeElement(tag.set, encodeElement(tag.sequence, extension(value))),
      )
    const otherName = (text: Uint8Array) =>
      encodeElement(
        tag.sequence,
        encodeElement(
          contextConstructed(0),
          encodeObjectIdentifier('1.3.6.1.5.5.7.8.9'),
          encodeElement(contextConstructed(0), encodeElement(tag.utf8String, text)),
        ),
      )
    const octets = fc.uint8Array({ maxLength: 60 })
    const attributes = fc.oneof(octets, octets.map(asked), octets.map(otherName).map(asked))
    const property = fc.asyncProperty(attributes, async (content) => {
      const info = encodeElement(
        tag.sequence,
        encodeElement(tag.integer, Uint8Array.of(0)),
        encodeElement(tag.sequence),
        spki,
        encodeElement(contextConstructed(0), content),
      )
      const raw = new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, keys.privateKey, info))
      const [r, s] = [raw.subarray(0, 32), raw.subarray(32)].map((half) => {
        const start = half.findIndex((octet) => octet !== 0)
        const short = half.subarray(start)
        return encodeElement(tag.integer, ...((short[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []), short)
      })
      const value = encodeElement(tag.sequence, r ?? new Uint8Array(), s ?? new Uint8Array())
      const algorithm = encodeElement(tag.sequence, encodeObjectIdentifier('1.2.840.10045.4.3.2'))
      await requireVerdict(
        encodeElement(tag.sequence, info, algorithm, encodeElement(tag.bitString, Uint8Array.of(0), value)),
      )
    })
    await fc.assert(property, { numRuns: runs(500) })
  })
})

describe('Policy rule 4: the arithmetic behind it', () => {
  const number = fc.bigInt({ min: 2n, max: 2n ** 700n })

  it('roots are the largest integers whose square is not above', () => {
    const property = fc.property(number, (value) => {
      const root = squareRoot(value)
      expect(root * root <= value && value < (root + 1n) ** 2n).toBe(true)
      expect(isSquare(value)).toBe(root * root === value)
      expect(bitLength(value)).toBe(value.toString(2).length)
      expect([isSquare(value * value), isSquare(value * value + 1n), isSquare(value * value - 1n)]).toEqual([
        true,
        false,
        false,
      ])
    })
    fc.assert(property)
  })

  it('odd powers are known, and what stands beside them is not one', () => {
    const exponent = fc.constantFrom(3, 5, 7, 11, 53, 101)
    const property = fc.property(number, exponent, (value, power) => {
      const odd = value | 1n
      expect(isOddPower(odd ** BigInt(power), power)).toBe(true)
      expect(isOddPower(odd ** BigInt(power) + 2n, power)).toBe(false)
      expect(isOddPower(odd ** BigInt(power) - 2n, power)).toBe(false)
    })
    fc.assert(property)
  })
})

describe('Policy rule 3: the work is bounded', () => {
  const octetsOf = (value: bigint): Uint8Array => Buffer.from(value.toString(16).padStart(2048, '0'), 'hex')
  const exponent = Uint8Array.of(1, 0, 1)

  /** Of the cheapest of some runs: what the work costs this thread, and not what else the machine did. */
  function costOf(modulus: bigint): { readonly verdict: string; readonly isBounded: boolean } {
    const key = { modulus: octetsOf(modulus), exponent }
    let verdict = 'passes'
    const times = Array.from({ length: 5 }, () => {
      const start = process.threadCpuUsage()
      try {
        checkRsaKey(key)
      } catch (error) {
        if (!(error instanceof DomainError)) throw error
        verdict = error.code
      }
      const { user, system } = process.threadCpuUsage(start)
      return (user + system) / 1_000
    })
    return { verdict, isBounded: Math.min(...times) < 50 }
  }

  const smallPrimes = oddPrimesUpTo(751).map(BigInt)

  /** The next number that the small factors do not end the work for. */
  function survivor(from: bigint): bigint {
    let value = from | 1n
    while (smallPrimes.some((prime) => value % prime === 0n)) value += 2n
    return value
  }

  it.each([
    ['that is hardly a square', survivor(((3n << 4094n) + 1n) ** 2n + 2n), 'passes'],
    ['that is a little less than a square', survivor(((3n << 4094n) + 1n) ** 2n - 2n ** 4000n), 'passes'],
    ['that ends like a power of 3', survivor(3n ** 1155n + (1n << 8191n)), 'passes'],
    ['that is the square of a large number', survivor((3n << 4094n) + 1n) ** 2n, 'rsa_prime_power'],
    ['that is the seventh power of a large number', survivor(2n ** 1170n + 2n ** 1167n) ** 7n, 'rsa_prime_power'],
    ['that has two factors in a row', survivor(3n << 4094n) * survivor((3n << 4094n) + 1000n), 'rsa_close_primes'],
  ])('a modulus of 8192 bits %s', (_, modulus, verdict) => {
    expect(bitLength(modulus)).toBe(8192)
    expect(costOf(modulus)).toEqual({ verdict, isBounded: true })
  })

  it('a good key of 8192 bits', async () => {
    const { key } = await checkCertificateRequest(crypto, readCertificateRequest(fixture('csr-rsa8192.pem')), mailbox)
    expect(key).toEqual({ algorithm: 'RSA', bits: 8192 })
  })
})
