import { createHash, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { CaKeyKind } from '../../src/pki/ca-key.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import {
  contextConstructed,
  contextPrimitive,
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  MalformedDer,
  readElement,
  readObjectIdentifier,
  readOctetsOfBitString,
  readUnsigned,
  requireDer,
  tag,
  type DerElement,
} from '../../src/pki/der.ts'
import { toHex } from '../../src/pki/encoding.ts'
import { fromHex } from '../../src/pki/hexadecimal.ts'
import { readOcspRequest } from '../../src/pki/ocsp-request.ts'
import { createOcspResponse, ocspError, ocspIssuer, type OcspResponseParameters } from '../../src/pki/ocsp.ts'
import { revocationReasonCodes } from '../../src/pki/revocation-reason.ts'
import { verifySignature } from '../../src/pki/signature.ts'
import type { SigningCa } from '../../src/pki/signing.ts'
import { keyKinds, makeIssuingCa } from './certificate-authority.ts'

const sha1 = '1.3.14.3.2.26'
const sha256 = '2.16.840.1.101.3.4.2.1'
const nonce = '1.3.6.1.5.5.7.48.1.2'

const none = encodeElement(tag.null)
const sequence = (...parts: readonly Uint8Array[]) => encodeElement(tag.sequence, ...parts)
const explicit = (number: number, ...parts: readonly Uint8Array[]) =>
  encodeElement(contextConstructed(number), ...parts)
const octets = (bytes: Uint8Array) => encodeElement(tag.octetString, bytes)
const integer = (...content: readonly number[]) => encodeElement(tag.integer, Uint8Array.from(content))
const algorithm = (identifier: string, ...parameters: readonly Uint8Array[]) =>
  sequence(encodeObjectIdentifier(identifier), ...parameters)
const extension = (identifier: string, value: Uint8Array, critical = false) =>
  sequence(
    encodeObjectIdentifier(identifier),
    ...(critical ? [encodeElement(tag.boolean, Uint8Array.of(0xff))] : []),
    octets(value),
  )
const certificateId = ({
  hash = algorithm(sha1, none),
  nameHash = new Uint8Array(20).fill(1),
  keyHash = new Uint8Array(20).fill(2),
  serial = integer(0x12, 0x34),
} = {}) => sequence(hash, octets(nameHash), octets(keyHash), serial)
const question = (id: Uint8Array = certificateId(), ...rest: readonly Uint8Array[]) => sequence(id, ...rest)
const requestOf = (questions: readonly Uint8Array[]) => sequence(sequence(sequence(...questions)))

/** One with everything that RFC 6960 section 4.1.1 lets a request have. */
const fullRequest = sequence(
  sequence(
    explicit(0, integer(0)),
    explicit(1, encodeElement(contextPrimitive(1), new TextEncoder().encode('alice@example.com'))),
    sequence(question(certificateId(), explicit(0, sequence(extension('1.3.6.1.5.5.7.48.1.7', sequence()))))),
    explicit(2, sequence(extension(nonce, octets(new Uint8Array(32)), true))),
  ),
  explicit(0, sequence(algorithm(sha256), encodeElement(tag.bitString, new Uint8Array(65)))),
)

describe('RFC 6960 4.1.1: what a request asks', () => {
  it('one question', () => {
    const id = certificateId()
    expect(readOcspRequest(requestOf([question(id)]))).toEqual({
      ids: [
        {
          hash: 'SHA-1',
          issuerNameHash: '01'.repeat(20),
          issuerKeyHash: '02'.repeat(20),
          serialNumber: '1234',
          bytes: id,
        },
      ],
      extensions: [],
    })
  })

  it('the request that openssl 3.0 makes (openssl ocsp -sha256 -serial 0x7b)', () => {
    const nameHash = 'ed8496cd248360616e4c19e5e52c286f4d9cf0f212ea503519a73de272a55501'
    const keyHash = '58c3368d1973f72de9f09828ba2c89798f8eedd72699a6d3eb125e7b4a22cdbf'
    const certId = `3056300d060960864801650304020105000420${nameHash}0420${keyHash}02017b`
    const nonceExtension = '301f06092b060105050730010204120410523871ebc8d551dcb7490948d7ab9479'
    const request = readOcspRequest(fromHex(`308184308181305a3058${certId}a2233021${nonceExtension}`))
    expect(request).toMatchObject({
      ids: [{ hash: 'SHA-256', issuerNameHash: nameHash, issuerKeyHash: keyHash, serialNumber: '7b' }],
      extensions: [{ oid: nonce, critical: false }],
    })
    expect(request.ids.map(({ bytes }) => toHex(bytes))).toEqual([certId])
  })

  it('who asks and a signature on it change nothing', () => {
    expect(readOcspRequest(fullRequest).ids).toEqual(readOcspRequest(requestOf([question()])).ids)
  })

  it('4.4: extensions of the request and of each question are reported, critical or not', () => {
    expect(
      readOcspRequest(fullRequest).extensions.map(({ oid: identifier, critical }) => [identifier, critical]),
    ).toEqual([
      [nonce, true],
      ['1.3.6.1.5.5.7.48.1.7', false],
    ])
  })

  it.each([
    ['SHA-1', algorithm(sha1, none), 'SHA-1'],
    ['SHA-1 without parameters', algorithm(sha1), 'SHA-1'],
    ['SHA-256', algorithm(sha256, none), 'SHA-256'],
    ['SHA-256 without parameters', algorithm(sha256), 'SHA-256'],
    ['SHA-384', algorithm('2.16.840.1.101.3.4.2.2', none), null],
    ['SHA-1 with other parameters', algorithm(sha1, octets(Uint8Array.of(1))), null],
  ])('hash: %s', (_, hash, expected) => {
    expect(readOcspRequest(requestOf([question(certificateId({ hash }))])).ids[0]?.hash).toBe(expected)
  })

  it.each([
    ['with a sign octet', integer(0, 0xff), 'ff'],
    ['of 20 octets', integer(...Array.from({ length: 20 }, () => 0x7f)), '7f'.repeat(20)],
    ['zero', integer(0), '00'],
  ])('serial number %s', (_, serial, expected) => {
    expect(readOcspRequest(requestOf([question(certificateId({ serial }))])).ids[0]?.serialNumber).toBe(expected)
  })

  it('20 questions, in their order', () => {
    const questions = Array.from({ length: 20 }, (_, index) => question(certificateId({ serial: integer(index + 1) })))
    expect(readOcspRequest(requestOf(questions)).ids.map(({ serialNumber }) => Number(`0x${serialNumber}`))).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
    expect(() => readOcspRequest(requestOf([...questions, question()]))).toThrow(MalformedDer)
  })
})

describe('RFC 6960 2.3: what is a malformed request', () => {
  const id = certificateId()
  const good = requestOf([question(id)])
  it.each([
    ['nothing', new Uint8Array()],
    ['no question', requestOf([])],
    ['bytes behind it', Uint8Array.of(...good, 0)],
    ['another version', sequence(sequence(explicit(0, integer(1)), sequence(question(id))))],
    ['a field behind the extensions', sequence(sequence(sequence(question(id)), explicit(3, none)))],
    ['a field behind the signature', sequence(sequence(sequence(question(id))), explicit(0, sequence()), none)],
    ['a signature that is no list', sequence(sequence(sequence(question(id))), explicit(0, none))],
    ['two names for who asks', sequence(sequence(explicit(1, none, none), sequence(question(id))))],
    ['a question with more than its extensions', requestOf([question(id, explicit(0, sequence()), none)])],
    [
      'an extension twice',
      sequence(sequence(sequence(question(id)), explicit(2, sequence(extension(nonce, none), extension(nonce, none))))),
    ],
    ['a CertID with more than its serial number', requestOf([question(sequence(id.subarray(2), none))])],
    ['a negative serial number', requestOf([question(certificateId({ serial: integer(0xfe) }))])],
    ['an empty serial number', requestOf([question(certificateId({ serial: integer() }))])],
    ['a serial number that is not minimal', requestOf([question(certificateId({ serial: integer(0, 1) }))])],
    [
      'a serial number of 21 octets',
      requestOf([question(certificateId({ serial: integer(...Array.from({ length: 21 }, () => 1)) }))]),
    ],
    ['a hash that is no OID', requestOf([question(certificateId({ hash: sequence(none) }))])],
    ['a hash with two parameters', requestOf([question(certificateId({ hash: algorithm(sha1, none, none) }))])],
    ['an indefinite length', Uint8Array.of(0x30, 0x80, ...good.subarray(2), 0, 0)],
  ])('%s', (_, request) => {
    expect(() => readOcspRequest(request)).toThrow(MalformedDer)
  })

  it('more than 64 KiB', () => {
    const padded = (size: number) => requestOf([question(certificateId({ nameHash: new Uint8Array(size) }))])
    const largest = padded(65_536 - (padded(60_000).length - 60_000))
    expect(largest).toHaveLength(65_536)
    expect(readOcspRequest(largest).ids).toHaveLength(1)
    expect(() => readOcspRequest(padded(65_537 - (padded(60_000).length - 60_000)))).toThrow(MalformedDer)
    expect(() => readOcspRequest(new Uint8Array(50_000_000))).toThrow(MalformedDer)
  })

  it('lists in lists end at a bound depth, whatever their size', () => {
    let nested: Uint8Array = none
    while (nested.length < 65_000) nested = sequence(nested)
    expect(() => readOcspRequest(nested)).toThrow(MalformedDer)
    expect(() => readOcspRequest(sequence(nested))).toThrow(MalformedDer)
    const wide = sequence(...Array.from({ length: 30_000 }, () => none))
    expect(() => readOcspRequest(sequence(sequence(wide)))).toThrow(MalformedDer)
  })

  /** Either it is read, or it is refused by the one error that says so. */
  function isReadOrMalformed(bytes: Uint8Array): boolean {
    try {
      const { ids } = readOcspRequest(bytes)
      return ids.length > 0 && ids.length <= 20
    } catch (error) {
      return error instanceof MalformedDer
    }
  }

  it('any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), isReadOrMalformed), { numRuns: 2000 })
  })

  it('any bytes inside of a request that is well-formed so far', () => {
    const bytes = fc.uint8Array({ maxLength: 100 })
    fc.assert(
      fc.property(bytes, bytes, bytes, (first, second, third) =>
        [
          requestOf([first]),
          requestOf([question(first, second), third]),
          requestOf([question(sequence(algorithm(sha1, first), second, third))]),
          sequence(sequence(first, sequence(question()), second), third),
          sequence(sequence(sequence(question()), explicit(2, sequence(sequence(first), second))), third),
        ].every(isReadOrMalformed),
      ),
      { numRuns: 2000 },
    )
  })

  it('every truncation of a good one', () => {
    for (let length = 0; length < fullRequest.length; length++) {
      expect(() => readOcspRequest(fullRequest.subarray(0, length))).toThrow(MalformedDer)
    }
  })

  it('bits turned over in a good one: every single one, and several', () => {
    for (let bit = 0; bit < fullRequest.length * 8; bit++) {
      const bytes = Uint8Array.from(fullRequest)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isReadOrMalformed(bytes)).toBe(true)
    }
    const change = fc.tuple(fc.nat(fullRequest.length - 1), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fc.array(change, { minLength: 2, maxLength: 8 }), (changes) => {
        const bytes = Uint8Array.from(fullRequest)
        for (const [index, value] of changes) bytes[index] = value
        return isReadOrMalformed(bytes)
      }),
      { numRuns: 5000 },
    )
  })
})

const producedAt = new Date('2026-12-01T08:09:11Z')
const thisUpdate = new Date('2026-12-01T08:09:10.900Z')
const nextUpdate = new Date('2026-12-04T08:09:10Z')

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

async function respond(
  changes: Partial<OcspResponseParameters> & {
    readonly hash?: 'SHA-1' | 'SHA-256'
    readonly serialNumber?: string
  } = {},
): Promise<Uint8Array> {
  const { hash = 'SHA-1', serialNumber = '7b', ...rest } = changes
  const ca = { ...authority, ...rest }
  return await createOcspResponse(crypto, {
    producedAt,
    thisUpdate,
    nextUpdate,
    status: { kind: 'good' },
    id: { hash, serialNumber, ...(await ocspIssuer(crypto, ca.issuer, hash)) },
    ...ca,
  })
}

/** Takes a successful response apart in the order of RFC 6960 section 4.2.1. */
function parse(der: Uint8Array) {
  const outer = readElement(der, tag.sequence)
  requireDer(outer)
  const parts = new DerSequence(outer)
  const responseStatus = parts.next(tag.enumerated).content
  const responseBytes = new DerSequence(readElement(parts.next(contextConstructed(0)).content, tag.sequence))
  parts.end()
  const responseType = readObjectIdentifier(responseBytes.next(tag.objectIdentifier))
  const basicElement = readElement(responseBytes.next(tag.octetString).content, tag.sequence)
  responseBytes.end()
  requireDer(basicElement)
  const basic = new DerSequence(basicElement)
  const data = basic.next(tag.sequence)
  const signatureAlgorithm = basic.next(tag.sequence).bytes
  const signature = readOctetsOfBitString(basic.next(tag.bitString))
  basic.end()
  const fields = new DerSequence(data)
  const responderKey = readElement(fields.next(contextConstructed(2)).content, tag.octetString).content
  const produced = readText(fields.next(tag.generalizedTime))
  const answers = new DerSequence(fields.next(tag.sequence))
  fields.end()
  const answer = new DerSequence(answers.next(tag.sequence))
  answers.end()
  const id = answer.next(tag.sequence)
  const status = answer.next()
  const from = readText(answer.next(tag.generalizedTime))
  const until = readText(readElement(answer.next(contextConstructed(0)).content, tag.generalizedTime))
  answer.end()
  return {
    responseStatus,
    responseType,
    responderKey,
    produced,
    id,
    status,
    from,
    until,
    signature: { algorithm: signatureAlgorithm, signed: data.bytes, signature },
  }
}

function readText({ content }: DerElement): string {
  return new TextDecoder().decode(content)
}

describe('RFC 6960 4.1.1: how an issuer is named', () => {
  it.each(['SHA-1', 'SHA-256'] as const)('%s of its name and of its key without the tag', async (hash) => {
    const digest = (bytes: Uint8Array) => createHash(hash).update(bytes).digest('hex')
    for (const kind of keyKinds) {
      const { issuer } = authorityOf(kind)
      const { nameHash, keyHash } = await ocspIssuer(crypto, issuer, hash)
      expect(nameHash).toBe(digest(parseCertificate(issuer).subject.bytes))
      const { publicKey } = new X509Certificate(issuer)
      const key =
        kind === 'rsa3072'
          ? publicKey.export({ type: 'pkcs1', format: 'der' })
          : publicKey.export({ type: 'spki', format: 'der' }).subarray(kind === 'p256' ? -65 : -97)
      expect(keyHash).toBe(digest(key))
    }
  })
})

describe('RFC 6960 4.2.1: what a response says', () => {
  it.each([
    ['p256', sequence(encodeObjectIdentifier('1.2.840.10045.4.3.2'))],
    ['p384', sequence(encodeObjectIdentifier('1.2.840.10045.4.3.3'))],
    ['rsa3072', sequence(encodeObjectIdentifier('1.2.840.113549.1.1.11'), none)],
  ] as const)('signed by the CA itself with its %s key, which names it', async (kind, expected) => {
    const ca = authorityOf(kind)
    const response = parse(await respond(ca))
    expect(response.responseStatus).toEqual(Uint8Array.of(0))
    expect(response.responseType).toBe('1.3.6.1.5.5.7.48.1.1')
    expect(response.signature.algorithm).toEqual(expected)
    expect(toHex(response.responderKey)).toBe((await ocspIssuer(crypto, ca.issuer, 'SHA-1')).keyHash)
    const { spki } = parseCertificate(ca.issuer)
    expect(await verifySignature(crypto, spki, response.signature)).toBe(true)
    const signed = Uint8Array.from(response.signature.signed)
    signed[signed.length - 1] = (signed.at(-1) ?? 0) ^ 1
    expect(await verifySignature(crypto, spki, { ...response.signature, signed })).toBe(false)
  })

  it.each([
    ['SHA-1', sha1],
    ['SHA-256', sha256],
  ] as const)(
    'the CertID as a client with %s asks for it, and the responder named by SHA-1',
    async (hash, identifier) => {
      const { nameHash, keyHash } = await ocspIssuer(crypto, authority.issuer, hash)
      const asked = certificateId({
        hash: algorithm(identifier, none),
        nameHash: fromHex(nameHash),
        keyHash: fromHex(keyHash),
        serial: integer(0, 0x80, 1),
      })
      const [id] = readOcspRequest(requestOf([question(asked)])).ids
      expect(id).toMatchObject({ hash, issuerNameHash: nameHash, issuerKeyHash: keyHash, serialNumber: '8001' })
      const response = parse(await respond({ hash, serialNumber: '8001' }))
      expect(response.id.bytes).toEqual(asked)
      expect(response.responderKey).toHaveLength(20)
    },
  )

  it.each([
    ['good', '8000'],
    ['unknown', '8200'],
  ] as const)('%s', async (kind, expected) => {
    expect(toHex(parse(await respond({ status: { kind } })).status.bytes)).toBe(expected)
  })

  it.each([...Object.entries(revocationReasonCodes), [null, null]])('revoked for %s', async (name, code) => {
    const reason = name as keyof typeof revocationReasonCodes | null
    const at = new Date('2026-11-30T23:59:59.999Z')
    const { status } = parse(await respond({ status: { kind: 'revoked', at, reason } }))
    expect(status.tag).toBe(contextConstructed(1))
    const parts = new DerSequence(status)
    expect(readText(parts.next(tag.generalizedTime))).toBe('20261130235959Z')
    const given = parts.optional(contextConstructed(0))
    parts.end()
    expect(given?.content).toEqual(code === null ? undefined : Uint8Array.of(tag.enumerated, 1, code))
  })

  it('4.2.2.1: GeneralizedTime in every year, without fractions', async () => {
    expect(parse(await respond())).toMatchObject({
      produced: '20261201080911Z',
      from: '20261201080910Z',
      until: '20261204080910Z',
    })
  })

  it('any serial number comes back as it was asked for', async () => {
    const serial = fc.uint8Array({ minLength: 1, maxLength: 19 })
    await fc.assert(
      fc.asyncProperty(serial, async (value) => {
        const { id } = parse(await respond({ serialNumber: toHex(value), status: { kind: 'unknown' } }))
        const [asked] = readOcspRequest(requestOf([question(id.bytes)])).ids
        expect(BigInt(`0x${asked?.serialNumber}`)).toBe(BigInt(`0x${toHex(value)}`))
        const parts = new DerSequence(id).rest()
        expect(toHex(readUnsigned(parts[3] ?? id))).toBe(asked?.serialNumber)
      }),
    )
  })

  it('S/MIME BR 4.9.10: valid for 8 hours to 10 days, the last second included', async () => {
    const after = (seconds: number) => new Date(thisUpdate.getTime() + seconds * 1000)
    for (const seconds of [8 * 3600 - 1, 10 * 86_400 - 1]) {
      expect(parse(await respond({ nextUpdate: after(seconds) })).from).toBe('20261201080910Z')
    }
    for (const seconds of [8 * 3600 - 2, 10 * 86_400, 0, -86_400, Number.NaN]) {
      await expect(respond({ nextUpdate: after(seconds) })).rejects.toThrow(RangeError)
    }
  })

  it('an id that is not hexadecimal is refused', async () => {
    await expect(respond({ serialNumber: '' })).rejects.toThrow(TypeError)
    await expect(respond({ serialNumber: '-1' })).rejects.toThrow(TypeError)
  })
})

describe('RFC 6960 2.3: errors are a status and nothing else', () => {
  it.each([
    ['malformedRequest', 1],
    ['internalError', 2],
    ['tryLater', 3],
    ['unauthorized', 6],
  ] as const)('%s', (status, code) => {
    expect(ocspError(status)).toEqual(Uint8Array.of(0x30, 3, tag.enumerated, 1, code))
  })
})
