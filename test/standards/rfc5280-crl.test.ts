// @peculiar/x509 registers its parts by decorators that read metadata, so the polyfill comes first.
import 'reflect-metadata'
import { X509Certificate, X509Crl } from '@peculiar/x509'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { randomSerialNumber, type CaKeyKind } from '../../src/pki/ca-key.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { createCrl, type CrlEntry, type CrlParameters } from '../../src/pki/crl.ts'
import {
  contextConstructed,
  DerSequence,
  MalformedDer,
  encodeElement,
  encodeObjectIdentifier,
  readElement,
  readOctetsOfBitString,
  readUnsigned,
  requireDer,
  tag,
  type DerElement,
} from '../../src/pki/der.ts'
import { toBufferSource, toHex } from '../../src/pki/encoding.ts'
import { readAuthorityKeyIdentifier, readExtensions, readSubjectKeyIdentifier } from '../../src/pki/extensions.ts'
import { oid } from '../../src/pki/object-identifiers.ts'
import { parseCrl } from '../../src/pki/read-crl.ts'
import { revocationReasonCodes } from '../../src/pki/revocation-reason.ts'
import { verifySignature } from '../../src/pki/signature.ts'
import type { SigningCa } from '../../src/pki/signing.ts'
import { keyKinds, makeIssuingCa } from './certificate-authority.ts'
import { runs } from '../support/thorough.ts'

const thisUpdate = new Date('2026-12-01T08:09:10.900Z')
const nextUpdate = new Date('2026-12-11T08:09:10Z')
const revokedAt = new Date('2026-11-30T23:59:59.999Z')
const entry = (serialNumber: string, changes: Partial<CrlEntry> = {}): CrlEntry => ({
  serialNumber,
  revokedAt,
  reason: null,
  ...changes,
})

const authorities = new Map<CaKeyKind, SigningCa>()
let authority: SigningCa

beforeAll(async () => {
  for (const kind of keyKinds) authorities.set(kind, await makeIssuingCa(kind))
  authority = authorityOf('p256')
})

function authorityOf(kind: CaKeyKind): SigningCa {
  const found = authorities.get(kind)
  if (found === undefined) throw new Error(`no authority with ${kind}`)
  return found
}

async function make(changes: Partial<CrlParameters> = {}): Promise<Uint8Array> {
  return await createCrl(crypto, { ...authority, number: 1, thisUpdate, nextUpdate, entries: [], ...changes })
}

/** Takes a CRL of version 2 apart in the order of RFC 5280 section 5.1. */
function parse(der: Uint8Array) {
  const outer = readElement(der, tag.sequence)
  requireDer(outer)
  const parts = new DerSequence(outer)
  const toBeSigned = parts.next(tag.sequence)
  const algorithm = parts.next(tag.sequence).bytes
  const signature = readOctetsOfBitString(parts.next(tag.bitString))
  parts.end()
  const fields = new DerSequence(toBeSigned)
  const version = fields.next(tag.integer).content
  const innerAlgorithm = fields.next(tag.sequence).bytes
  const issuer = fields.next(tag.sequence).bytes
  const times = [readTime(fields.next()), readTime(fields.next())]
  const revoked = fields.optional(tag.sequence)
  const extensions = readExtensions(readElement(fields.next(contextConstructed(0)).content, tag.sequence))
  fields.end()
  return {
    version,
    algorithm,
    innerAlgorithm,
    issuer,
    times,
    entries: revoked === undefined ? undefined : new DerSequence(revoked).rest(tag.sequence).map(parseEntry),
    extensions,
    signature: { algorithm, signed: toBeSigned.bytes, signature },
  }
}

function readTime({ tag: type, content }: DerElement) {
  return { type, text: new TextDecoder().decode(content) }
}

function parseEntry(element: DerElement) {
  const parts = new DerSequence(element)
  const serialNumber = toHex(readUnsigned(parts.next(tag.integer)))
  const time = readTime(parts.next())
  const extensions = parts.optional(tag.sequence)
  parts.end()
  return { serialNumber, time, extensions: extensions === undefined ? undefined : readExtensions(extensions) }
}

function numberIn(der: Uint8Array): Uint8Array {
  const extension = parse(der).extensions.find((candidate) => candidate.oid === oid.crlNumber)
  if (extension === undefined) throw new Error('no CRL number')
  return readElement(extension.value, tag.integer).content
}

describe('RFC 5280 5.1.1: the signature', () => {
  it.each([
    ['p256', encodeElement(tag.sequence, encodeObjectIdentifier('1.2.840.10045.4.3.2'))],
    ['p384', encodeElement(tag.sequence, encodeObjectIdentifier('1.2.840.10045.4.3.3'))],
    ['rsa3072', encodeElement(tag.sequence, encodeObjectIdentifier('1.2.840.113549.1.1.11'), Uint8Array.of(5, 0))],
  ] as const)('of a %s key: its algorithm inside and outside, and it verifies', async (kind, algorithm) => {
    const ca = authorityOf(kind)
    const der = await make({ ...ca, entries: [entry('0a', { reason: 'keyCompromise' })] })
    const crl = parse(der)
    expect(crl.algorithm).toEqual(algorithm)
    expect(crl.innerAlgorithm).toEqual(algorithm)
    expect(await verifySignature(crypto, parseCertificate(ca.issuer).spki, crl.signature)).toBe(true)

    const peer = new X509Crl(toBufferSource(der))
    expect(await peer.verify({ publicKey: new X509Certificate(toBufferSource(ca.issuer)) }, crypto)).toBe(true)
    const other = await makeIssuingCa(kind)
    expect(await peer.verify({ publicKey: new X509Certificate(toBufferSource(other.issuer)) }, crypto)).toBe(false)
  })

  it('is DER whatever the two integers begin with', async () => {
    for (let count = 0; count < 300; count++) {
      const { signature } = parse(await make({ number: count + 1 }))
      const value = readElement(signature.signature, tag.sequence)
      requireDer(value)
      expect(await verifySignature(crypto, parseCertificate(authority.issuer).spki, signature)).toBe(true)
    }
  })
})

describe('RFC 5280 5.1.2: the fields', () => {
  it('5.1.2.1: version 2', async () => {
    expect(parse(await make()).version).toEqual(Uint8Array.of(1))
  })

  it("5.1.2.3: the issuer's name, byte for byte", async () => {
    expect(parse(await make()).issuer).toEqual(parseCertificate(authority.issuer).subject.bytes)
  })

  it('5.1.2.4, 5.1.2.5: UTCTime to 2049, GeneralizedTime after it, without fractions', async () => {
    const crl = parse(
      await make({
        nextUpdate: new Date('2050-01-01T00:00:00Z'),
        entries: [
          entry('01', { revokedAt: new Date('2049-12-31T23:59:59.999Z') }),
          entry('02', { revokedAt: new Date('2050-01-01T00:00:00Z') }),
        ],
      }),
    )
    expect(crl.times).toEqual([
      { type: tag.utcTime, text: '261201080910Z' },
      { type: tag.generalizedTime, text: '20500101000000Z' },
    ])
    expect(crl.entries?.map(({ time }) => time)).toEqual([
      { type: tag.utcTime, text: '491231235959Z' },
      { type: tag.generalizedTime, text: '20500101000000Z' },
    ])
  })

  it.each([
    ['a next update that is not after this one', { nextUpdate: thisUpdate }],
    ['no time', { thisUpdate: new Date(Number.NaN) }],
    ['a time before 1950', { thisUpdate: new Date('1949-12-31T23:59:59Z') }],
    ['a time after 9999', { nextUpdate: new Date('+010000-01-01T00:00:00Z') }],
  ])('refuses %s', async (_, changes) => {
    await expect(make(changes)).rejects.toThrow(RangeError)
  })

  it('5.1.2.6: no list where nothing is revoked', async () => {
    const der = await make()
    expect(parse(der).entries).toBeUndefined()
    expect(new X509Crl(toBufferSource(der)).entries).toHaveLength(0)
  })

  it('5.1.2.6: serial numbers as they were issued, in order of size, each once', async () => {
    const serials = ['00ff', '80', '7f', '0100', '7fffffffffffffffffffffffffffffff', '01', 'ff00000000000000']
    const crl = parse(await make({ entries: serials.map((serialNumber) => entry(serialNumber)) }))
    const sorted = ['01', '7f', '80', 'ff', '0100', 'ff00000000000000', '7fffffffffffffffffffffffffffffff']
    expect(crl.entries?.map(({ serialNumber }) => serialNumber)).toEqual(sorted)

    await expect(make({ entries: [entry('ff'), entry('01'), entry('00ff')] })).rejects.toThrow(RangeError)
    for (const text of ['', 'f', '0x10', 'FF', 'gg']) {
      await expect(make({ entries: [entry(text)] })).rejects.toThrow(TypeError)
    }
  })

  it('5.1.2.6: any set of serial numbers comes back, whatever its order', async () => {
    const serial = fc
      .bigInt({ min: 0n, max: 2n ** 159n - 1n })
      .map((value) => value.toString(16))
      .map((digits) => (digits.length % 2 === 0 ? digits : `0${digits}`))
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(serial, { maxLength: 50 }), async (serials) => {
        const crl = parse(await make({ entries: serials.map((serialNumber) => entry(serialNumber)) }))
        const bySize = serials.toSorted((left, right) => (BigInt(`0x${left}`) < BigInt(`0x${right}`) ? -1 : 1))
        expect(crl.entries?.map(({ serialNumber }) => serialNumber) ?? []).toEqual(bySize)
      }),
    )
  })

  it('holds as many entries as there come to be', async () => {
    const serials = Array.from({ length: runs(100_000) }, () => randomSerialNumber(crypto))
    const entries = serials.map((serialNumber) => entry(serialNumber, { reason: 'superseded' }))
    const crl = parse(await make({ entries }))
    expect(crl.entries?.map(({ serialNumber }) => serialNumber)).toEqual(serials.toSorted())
    expect(await verifySignature(crypto, parseCertificate(authority.issuer).spki, crl.signature)).toBe(true)
  })
})

describe('RFC 5280 5.2: the extensions', () => {
  it('are the key identifier and the number, neither critical', async () => {
    const { extensions } = parse(await make())
    expect(extensions.map(({ oid: identifier, critical }) => [identifier, critical])).toEqual([
      [oid.authorityKeyIdentifier, false],
      [oid.crlNumber, false],
    ])
  })

  it("5.2.1: the issuer's own key identifier, and only that", async () => {
    const value = parse(await make()).extensions[0]?.value ?? new Uint8Array()
    const identifier = parseCertificate(authority.issuer).extensions.get(oid.subjectKeyIdentifier)
    expect(readAuthorityKeyIdentifier(value)).toEqual(readSubjectKeyIdentifier(identifier?.value ?? new Uint8Array()))
    expect(new DerSequence(readElement(value, tag.sequence)).rest()).toHaveLength(1)
  })

  it.each([
    [1, '01'],
    [127, '7f'],
    [128, '0080'],
    [256n, '0100'],
    [Number.MAX_SAFE_INTEGER, '1fffffffffffff'],
    [2n ** 159n - 1n, `7f${'ff'.repeat(19)}`],
  ])('5.2.3: CRL number %s', async (number, octets) => {
    expect(toHex(numberIn(await make({ number })))).toBe(octets)
  })

  it('5.2.3: no number that is not positive, not whole, or above 20 octets', async () => {
    for (const number of [0, -1, 1.5, Number.NaN, 2 ** 53, 0n, -1n, 2n ** 159n]) {
      await expect(make({ number })).rejects.toThrow(RangeError)
    }
  })
})

describe('RFC 5280 5.3.1: reasons', () => {
  it.each(Object.entries(revocationReasonCodes))('%s is code %i, not critical', async (name, code) => {
    const reason = name as keyof typeof revocationReasonCodes
    const der = await make({ entries: [entry('01', { reason })] })
    expect(parse(der).entries?.[0]?.extensions).toEqual([
      { oid: oid.reasonCode, critical: false, value: Uint8Array.of(tag.enumerated, 1, code) },
    ])
    expect(new X509Crl(toBufferSource(der)).entries[0]?.reason).toBe(code)
  })

  it('there are five, and a hold is none of them', () => {
    expect(Object.values(revocationReasonCodes)).toEqual([1, 3, 4, 5, 9])
  })

  it('none given: left out, and so are the extensions of the entry', async () => {
    expect(parse(await make({ entries: [entry('01')] })).entries?.[0]?.extensions).toBeUndefined()
  })
})

describe('RFC 5280 5.1: reading a list back', () => {
  const wholeSecond = (time: Date): Date => new Date(Math.floor(time.getTime() / 1_000) * 1_000)

  it('finds what was written: numbers, times, serial numbers with a high bit, every reason and none', async () => {
    const reasons = [...Object.keys(revocationReasonCodes), null] as CrlEntry['reason'][]
    const entries = reasons.map((reason, index) => entry(`f${index}ab`, { reason }))
    const list = parseCrl(await make({ number: 1_795_000_000, entries }))
    expect(list).toMatchObject({
      number: 1_795_000_000,
      thisUpdate: wholeSecond(thisUpdate),
      nextUpdate: wholeSecond(nextUpdate),
      entries: entries.map((one) => ({ ...one, revokedAt: wholeSecond(revokedAt) })),
    })
    expect(parseCrl(await make()).entries).toEqual([])
  })

  it('keeps what is signed as it stands, so that a changed byte is found', async () => {
    const der = await make({ entries: [entry('0a')] })
    const { spki, subject } = parseCertificate(authority.issuer)
    const { issuer, signature } = parseCrl(der)
    expect(issuer).toEqual(subject.bytes)
    expect(await verifySignature(crypto, spki, signature)).toBe(true)
    const serial = Buffer.from(der).indexOf(Buffer.from('02010a', 'hex'))
    const changed = Uint8Array.from(der, (byte, index) => (index === serial + 2 ? 0x0b : byte))
    expect(parseCrl(changed).entries[0]?.serialNumber).toBe('0b')
    expect(await verifySignature(crypto, spki, parseCrl(changed).signature)).toBe(false)
  })

  it('refuses a number beyond the safe integers, and whatever is no list', async () => {
    expect(() => parseCrl(authority.issuer)).toThrow(MalformedDer)
    await expect(make({ number: 2n ** 60n }).then(parseCrl)).rejects.toThrow(MalformedDer)
    const whole = await make({ entries: [entry('0a', { reason: 'superseded' })] })
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), (place, byte) => {
        const changed = Uint8Array.from(whole, (before, index) => (index === place ? byte : before))
        try {
          parseCrl(changed)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedDer)
        }
      }),
    )
  })
})
