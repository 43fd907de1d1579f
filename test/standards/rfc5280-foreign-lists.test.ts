import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCrl } from '../../src/pki/crl.ts'
import {
  contextConstructed,
  encodeElement,
  encodeObjectIdentifier,
  encodeOctetsAsBitString,
  MalformedDer,
  tag,
} from '../../src/pki/der.ts'
import { encodeGeneralizedTime, encodeTime } from '../../src/pki/der-time.ts'
import { toHex } from '../../src/pki/encoding.ts'
import { readForeignCrl, UnsupportedList, type ForeignList } from '../../src/pki/read-foreign-crl.ts'
import { verifySignature } from '../../src/pki/signature.ts'
import type { SigningCa } from '../../src/pki/signing.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { makeIssuingCa } from './certificate-authority.ts'

const thisUpdate = new Date('2026-12-01T08:09:10Z')
const nextUpdate = new Date('2026-12-11T08:09:10Z')
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => encodeElement(tag.sequence, ...parts)
const integer = (hex: string): Uint8Array => encodeElement(tag.integer, new Uint8Array(Buffer.from(hex, 'hex')))
const extension = (id: string, critical: boolean, value: Uint8Array): Uint8Array =>
  sequence(
    encodeObjectIdentifier(id),
    ...(critical ? [encodeElement(tag.boolean, Uint8Array.of(0xff))] : []),
    encodeElement(tag.octetString, value),
  )
const reason = (code: number): Uint8Array =>
  extension('2.5.29.21', false, encodeElement(tag.enumerated, Uint8Array.of(code)))
const entry = (serial: string, ...extensions: readonly Uint8Array[]): Uint8Array =>
  sequence(integer(serial), encodeTime(thisUpdate), ...(extensions.length === 0 ? [] : [sequence(...extensions)]))

const name = sequence(
  encodeElement(
    tag.set,
    sequence(encodeObjectIdentifier('2.5.4.3'), encodeElement(tag.utf8String, new TextEncoder().encode('A CA'))),
  ),
)
const algorithm = sequence(encodeObjectIdentifier('1.2.840.10045.4.3.2'))
const version2 = integer('01')

/** A list without a signature worth anything, of whatever stands between its algorithm and its end. */
const listOf = (fields: readonly Uint8Array[], version: readonly Uint8Array[] = [version2]): Uint8Array =>
  sequence(sequence(...version, algorithm, name, ...fields), algorithm, encodeOctetsAsBitString(Uint8Array.of(1)))
const times = [encodeTime(thisUpdate), encodeTime(nextUpdate)]
const withEntries = (...entries: readonly Uint8Array[]): Uint8Array => listOf([...times, sequence(...entries)])
const withExtensions = (...extensions: readonly Uint8Array[]): Uint8Array =>
  listOf([...times, encodeElement(contextConstructed(0), sequence(...extensions))])

const readWhole = (der: Uint8Array) => [...readForeignCrl(der).entries()]

describe('RFC 5280 section 5, lists of other CAs', () => {
  let ca: SigningCa
  let list: Uint8Array

  beforeAll(async () => {
    ca = await makeIssuingCa('p256')
    list = await createCrl(crypto, {
      ...ca,
      number: 2n ** 150n,
      thisUpdate,
      nextUpdate,
      entries: [
        { serialNumber: '0a', revokedAt: thisUpdate, reason: 'superseded' },
        { serialNumber: 'ff01', revokedAt: thisUpdate, reason: null },
      ],
    })
  })

  it('reads the names, the times, the signature and what is revoked, whatever the number', async () => {
    const read: ForeignList = readForeignCrl(list)
    const issuer = parseCertificate(ca.issuer)
    expect([read.thisUpdate, read.nextUpdate, toHex(read.issuer)]).toEqual([
      thisUpdate,
      nextUpdate,
      toHex(issuer.subject.bytes),
    ])
    expect([...read.entries()]).toEqual([
      { serialNumber: '0a', reason: 'superseded' },
      { serialNumber: 'ff01', reason: null },
    ])
    expect(await verifySignature(crypto, issuer.spki, read.signature)).toBe(true)
  })

  it('5.1.2.1: reads version 1, which has no extensions', () => {
    expect([...readForeignCrl(listOf([...times, sequence(entry('05'))], [])).entries()]).toHaveLength(1)
    expect(() => readForeignCrl(listOf(times, [integer('02')]))).toThrow(MalformedDer)
  })

  it('5.1.2.5: reads a list that does not say when the next comes, and times of both forms', () => {
    expect(readForeignCrl(listOf([encodeTime(thisUpdate)])).nextUpdate).toBeNull()
    const general = [encodeGeneralizedTime(thisUpdate), encodeGeneralizedTime(nextUpdate)]
    expect(readForeignCrl(listOf(general))).toMatchObject({ thisUpdate, nextUpdate })
    expect(() => readForeignCrl(listOf([]))).toThrow(MalformedDer)
  })

  it('5.1.2.6: passes over serial numbers that no certificate here has', () => {
    expect(readWhole(withEntries(entry('80'), entry('0080')))).toEqual([{ serialNumber: '80', reason: null }])
    expect(() => readWhole(withEntries(entry('000a')))).toThrow(MalformedDer)
    expect(() => readWhole(withEntries(sequence(integer('05'))))).toThrow(MalformedDer)
  })

  it('5.3.1: reads the reasons, and passes over removeFromCRL', () => {
    const codes = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]
    const read = readWhole(withEntries(...codes.map((code) => entry(`0${code.toString(16)}`, reason(code)))))
    expect(read.map(({ serialNumber, reason: said }) => [Number.parseInt(serialNumber, 16), said])).toEqual([
      [0, null],
      [1, 'keyCompromise'],
      [2, null],
      [3, 'affiliationChanged'],
      [4, 'superseded'],
      [5, 'cessationOfOperation'],
      [6, null],
      [9, 'privilegeWithdrawn'],
      [10, null],
    ])
  })

  it('5.3.2, 5.3: passes over invalidityDate, and over what is unknown and not critical', () => {
    const invalidity = extension('2.5.29.24', false, encodeGeneralizedTime(thisUpdate))
    const unknown = extension('1.3.6.1.4.1.55555.1', false, Uint8Array.of(5, 0))
    expect(readWhole(withEntries(entry('05', invalidity, unknown, reason(1))))).toEqual([
      { serialNumber: '05', reason: 'keyCompromise' },
    ])
    expect(() => readWhole(withEntries(entry('05', reason(1), reason(4))))).toThrow(MalformedDer)
  })

  it.each([
    ['5.3.3: certificateIssuer, of indirect lists', '2.5.29.29', false],
    ['5.3: an unknown critical one', '1.3.6.1.4.1.55555.1', true],
  ])('refuses an entry with %s', (_, id, critical) => {
    const odd = entry('05', extension(id, critical, Uint8Array.of(5, 0)))
    expect(() => readWhole(withEntries(entry('04'), odd))).toThrow(UnsupportedList)
  })

  it.each([
    ['5.2.4: deltaCRLIndicator', '2.5.29.27', '020101'],
    ['5.2.5: onlyContainsCACerts', '2.5.29.28', '30038201ff'],
    ['5.2.5: onlySomeReasons', '2.5.29.28', '300483020640'],
    ['5.2.5: indirectCRL', '2.5.29.28', '30038401ff'],
    ['5.2.5: onlyContainsAttributeCerts', '2.5.29.28', '30038501ff'],
    ['5.2: an unknown critical extension', '1.3.6.1.4.1.55555.1', '0500'],
  ])('refuses a list with %s', (_, id, hex) => {
    const value = new Uint8Array(Buffer.from(hex, 'hex'))
    expect(() => readForeignCrl(withExtensions(extension(id, true, value)))).toThrow(UnsupportedList)
  })

  it.each([
    ['5.2.5: onlyContainsUserCerts', '2.5.29.28', true, '30038101ff'],
    ['5.2.5: the name of one distribution point', '2.5.29.28', true, '3008a006a00486026161'],
    ['5.2.6: freshestCRL', '2.5.29.46', false, '3000'],
    ['5.2: an unknown extension that is not critical', '1.3.6.1.4.1.55555.1', false, '0500'],
  ])('reads a list with %s', (_, id, critical, hex) => {
    const value = new Uint8Array(Buffer.from(hex, 'hex'))
    expect(readWhole(withExtensions(extension(id, critical, value)))).toEqual([])
  })

  it('4.2: refuses an extension that stands twice, and bytes behind the list', () => {
    const twice = extension('2.5.29.46', false, sequence())
    expect(() => readForeignCrl(withExtensions(twice, twice))).toThrow(MalformedDer)
    expect(() => readForeignCrl(Uint8Array.from([...list, 0]))).toThrow(MalformedDer)
  })

  it('says of any bytes that they are no list, or not one that is read', () => {
    const isSaid = (der: Uint8Array): boolean => {
      try {
        readWhole(der)
        return true
      } catch (error) {
        return error instanceof MalformedDer || error instanceof UnsupportedList
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), isSaid))
    fc.assert(
      fc.property(fc.nat(list.length - 1), fc.nat(255), (position, value) =>
        isSaid(Uint8Array.from(list, (byte, index) => (index === position ? value : byte))),
      ),
      { numRuns: 2_000 },
    )
    fc.assert(fc.property(fc.nat(list.length - 1), (length) => isSaid(list.subarray(0, length))))
  })
})
