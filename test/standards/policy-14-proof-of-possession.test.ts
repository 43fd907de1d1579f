import * as node from 'node:crypto'
import { Crypto as BrainpoolCrypto } from '@peculiar/webcrypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { proveByDecrypting, proveBySigning, ProofError, type ExpectedProof } from '../../src/client/proof.ts'
import { MalformedDer } from '../../src/pki/der.ts'
import { concatBytes, equalBytes, equalSecrets, sha256Hex, toBase64, toHex } from '../../src/pki/encoding.ts'
import { createDecryptionChallenge, decryptionProof } from '../../src/pki/proof/decryption-proof.ts'
import { readChallengeEnvelope, writeChallengeEnvelope } from '../../src/pki/proof/enveloped-data.ts'
import { agreeOnWrapKey, keyIdentifierOf } from '../../src/pki/proof/key-agreement.ts'
import { readProofKey } from '../../src/pki/proof/public-key.ts'
import { verifySignatureProof } from '../../src/pki/proof/signature-proof.ts'
import { proofLabels, proofText } from '../../src/pki/proof/text.ts'
import { runs } from '../support/thorough.ts'

const brainpool: Crypto = new BrainpoolCrypto()
const origin = 'https://keys.example.com'
const challengeId = 'Zm9vYmFyYmF6cXV4MTIzNA'
const bytesOf = (text: string) => new TextEncoder().encode(text)

interface Pair {
  /** The Crypto that the device's key belongs to. */
  readonly crypto: Crypto
  readonly spki: Uint8Array<ArrayBuffer>
  readonly privateKey: CryptoKey
}

type KeyAlgorithms = RsaHashedKeyGenParams | EcKeyGenParams | { readonly name: 'Ed25519' | 'X25519' }

async function makePair(algorithm: KeyAlgorithms, usages: KeyUsage[], owner: Crypto = crypto): Promise<Pair> {
  const pair = (await owner.subtle.generateKey(algorithm, false, usages)) as CryptoKeyPair
  const spki = new Uint8Array(await owner.subtle.exportKey('spki', pair.publicKey))
  return { crypto: owner, spki, privateKey: pair.privateKey }
}

const rsa = (name: string, modulusLength: number, hash = 'SHA-256') => ({
  name,
  modulusLength,
  hash,
  publicExponent: Uint8Array.of(1, 0, 1),
})
const curves = ['P-256', 'P-384', 'P-521', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'] as const
const ownerOf = (curve: string) => (curve.startsWith('brainpool') ? brainpool : crypto)

/** A key pair of each kind that may sign, with private keys that nobody can export. */
const signing: readonly (readonly [kind: string, make: () => Promise<Pair>])[] = [
  ['RSA 2048', () => makePair(rsa('RSASSA-PKCS1-v1_5', 2048), ['sign', 'verify'])],
  ['RSA 3072', () => makePair(rsa('RSASSA-PKCS1-v1_5', 3072), ['sign', 'verify'])],
  ...curves.map((namedCurve) => {
    const make = () => makePair({ name: 'ECDSA', namedCurve }, ['sign', 'verify'], ownerOf(namedCurve))
    return [namedCurve, make] as const
  }),
  ['Ed25519', () => makePair({ name: 'Ed25519' }, ['sign', 'verify'])],
]
/** The same for those that may decrypt. */
const decrypting: readonly (readonly [kind: string, make: () => Promise<Pair>])[] = [
  ['RSA 2048', () => makePair(rsa('RSA-OAEP', 2048), ['decrypt', 'encrypt'])],
  ['RSA 3072', () => makePair(rsa('RSA-OAEP', 3072), ['decrypt', 'encrypt'])],
  ...curves.map((namedCurve) => {
    const make = () => makePair({ name: 'ECDH', namedCurve }, ['deriveBits'], ownerOf(namedCurve))
    return [namedCurve, make] as const
  }),
  ['X25519', () => makePair({ name: 'X25519' }, ['deriveBits'])],
]

const expected = (spki: Uint8Array): ExpectedProof => ({ origin, challengeId, spki })

/** Keys of OpenSSL's, by the names above. */
function nodeKeys(kind: string): node.KeyPairKeyObjectResult {
  if (kind.startsWith('RSA')) return node.generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) })
  if (kind === 'Ed25519') return node.generateKeyPairSync('ed25519')
  if (kind === 'X25519') return node.generateKeyPairSync('x25519')
  return node.generateKeyPairSync('ec', { namedCurve: kind })
}

/** T as the service computes it; the parts that are given differ from what the device expects. */
async function textFor(spki: Uint8Array, other: Partial<Parameters<typeof proofText>[0]> = {}) {
  const spkiSha256 = await sha256Hex(crypto, spki)
  return proofText({ label: proofLabels.possession, origin, challengeId, spkiSha256, ...other })
}

/** T of another origin, challenge, key or purpose than the device expects. */
const otherTexts: readonly (readonly [string, Partial<Parameters<typeof proofText>[0]>])[] = [
  ['origin', { origin: 'https://keys.example.org' }],
  ['scheme', { origin: 'http://keys.example.com' }],
  ['challenge id', { challengeId: 'Zm9vYmFyYmF6cXV4MTIzNB' }],
  ['key', { spkiSha256: '0'.repeat(64) }],
  ['label', { label: proofLabels.compromise }],
]

const refusal = {
  name: 'ProofError',
  code: 'challenge_refused',
  message: 'challenge_refused: This is no challenge of this service for this key.',
}

/** One code, one message, no cause: nothing that tells one failure from another. */
async function expectRefused(proving: Promise<unknown>): Promise<void> {
  const error = await proving.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(ProofError)
  expect(error).toMatchObject(refusal)
  expect(error).not.toHaveProperty('cause')
}

describe('policy rule 14: the text T', () => {
  const parts = { label: proofLabels.possession, origin, challengeId, spkiSha256: 'ab'.repeat(32) }

  it('is four lines, each with its line feed', () => {
    const text = `certbook-pop-v1\nhttps://keys.example.com\nZm9vYmFyYmF6cXV4MTIzNA\n${'ab'.repeat(32)}\n`
    expect(proofText(parts)).toEqual(bytesOf(text))
    expect(proofText({ ...parts, label: 'certbook-compromise-v1' })).toEqual(bytesOf(text.replace('pop', 'compromise')))
  })

  it.each(['http://127.0.0.1:8080', 'http://[::1]:8080', 'https://xn--bcher-kva.example'])('origin %s', (allowed) => {
    expect(proofText({ ...parts, origin: allowed })).toEqual(expect.any(Uint8Array))
  })

  it.each([
    ['an origin with a path', { origin: 'https://keys.example.com/' }],
    ['an origin with a line feed', { origin: 'https://keys.example.com\nx' }],
    ['an origin with a user', { origin: 'https://a@keys.example.com' }],
    ['no challenge id', { challengeId: '' }],
    ['a challenge id of two lines', { challengeId: 'a\nb' }],
    ['a document as challenge id', { challengeId: 'I, Alice, owe Mallory 1000 euros.' }],
    ['an endless challenge id', { challengeId: 'a'.repeat(65) }],
    ['a hash in capitals', { spkiSha256: 'AB'.repeat(32) }],
  ])('%s is refused', (_, other) => {
    expect(() => proofText({ ...parts, ...other })).toThrow(RangeError)
  })
})

describe.each(signing)('policy rule 14: proof by signing, %s', (kind, make) => {
  let pair: Pair
  let text: Uint8Array<ArrayBuffer>
  let proof: Uint8Array
  const prove = (toBeSigned: Uint8Array) =>
    proveBySigning(pair.crypto, { ...expected(pair.spki), toBeSigned }, pair.privateKey)
  const verify = (signed: Uint8Array, value: Uint8Array) =>
    verifySignatureProof(crypto, pair.spki, { text: signed, proof: value }, { brainpool })

  beforeAll(async () => {
    pair = await make()
    text = await textFor(pair.spki)
    proof = await prove(text)
  })

  it('verifies, every time', async () => {
    expect(await verify(text, proof)).toBe(true)
    // Integers with leading zeros or a set first bit come up among so many.
    for (let round = 0; round < 20; round++) expect(await verify(text, await prove(text))).toBe(true)
  })

  it.each(otherTexts)('T of another %s is not signed, and the proof is none for it', async (_, other) => {
    const otherText = await textFor(pair.spki, other)
    await expectRefused(prove(otherText))
    expect(await verify(otherText, proof)).toBe(false)
  })

  it('a chosen document is not signed', async () => {
    const documents = [bytesOf('I owe Mallory 1000 euros.'), new Uint8Array(), new Uint8Array(32)]
    const near = [concatBytes(text, bytesOf('I owe')), text.subarray(0, -1), concatBytes(bytesOf('\n'), text)]
    for (const document of [...documents, ...near]) await expectRefused(prove(document))
  })

  it('the proof of another key, and a proof that was touched, do not verify', async () => {
    const other = await make()
    expect(await verifySignatureProof(crypto, other.spki, { text, proof }, { brainpool })).toBe(false)
    for (let index = 0; index < proof.length; index += 7) {
      const touched = proof.with(index, (proof[index] ?? 0) ^ 1)
      expect(await verify(text, touched)).toBe(false)
    }
    for (const value of [new Uint8Array(), new Uint8Array(64), concatBytes(proof, Uint8Array.of(0))]) {
      expect(await verify(text, value)).toBe(false)
    }
  })

  it(`a proof by another implementation verifies, ${kind}`, async () => {
    const hash = /384/.test(kind) ? 'sha384' : /521|512/.test(kind) ? 'sha512' : 'sha256'
    const { publicKey, privateKey } = nodeKeys(kind)
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
    const own = await textFor(spki)
    const value = node.sign(kind === 'Ed25519' ? null : hash, own, privateKey)
    expect(await verifySignatureProof(crypto, spki, { text: own, proof: value }, { brainpool })).toBe(true)
    if (kind === 'Ed25519') return
    // The kind of key decides the hash, the signer does not.
    for (const other of ['sha1', 'sha256', 'sha384', 'sha512'].filter((name) => name !== hash)) {
      const wrong = node.sign(other, own, privateKey)
      expect(await verifySignatureProof(crypto, spki, { text: own, proof: wrong }, { brainpool })).toBe(false)
    }
  })
})

describe('policy rule 14: proofs by signing that do not count', () => {
  it('ECDSA as two integers side by side, and RSA-PSS', async () => {
    const { publicKey, privateKey } = nodeKeys('P-256')
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
    const text = await textFor(spki)
    const raw = node.sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    expect(await verifySignatureProof(crypto, spki, { text, proof: raw })).toBe(false)

    const rsaKeys = nodeKeys('RSA 2048')
    const rsaSpki = new Uint8Array(rsaKeys.publicKey.export({ type: 'spki', format: 'der' }))
    const pss = node.sign('sha256', text, { key: rsaKeys.privateKey, padding: node.constants.RSA_PKCS1_PSS_PADDING })
    expect(await verifySignatureProof(crypto, rsaSpki, { text, proof: pss })).toBe(false)
  })

  it('keys that cannot: each with its own code', async () => {
    const x25519 = await makePair({ name: 'X25519' }, ['deriveBits'])
    const ed25519 = await makePair({ name: 'Ed25519' }, ['sign'])
    const brainpoolKey = await makePair({ name: 'ECDSA', namedCurve: 'brainpoolP256r1' }, ['sign'], brainpool)
    const nothing = new Uint8Array()
    const verify = (spki: Uint8Array) => verifySignatureProof(crypto, spki, { text: nothing, proof: nothing })
    const challenge = (spki: Uint8Array) => createDecryptionChallenge(crypto, spki, nothing)
    await expect(verify(x25519.spki)).rejects.toMatchObject({ code: 'key_use_unfit' })
    await expect(challenge(ed25519.spki)).rejects.toMatchObject({ code: 'key_use_unfit' })
    await expect(verify(brainpoolKey.spki)).rejects.toMatchObject({ code: 'key_not_on_this_runtime' })
    await expect(challenge(brainpoolKey.spki)).rejects.toMatchObject({ code: 'key_not_on_this_runtime' })
    await expect(verify(ed25519.spki.subarray(1))).rejects.toMatchObject({ code: 'key_malformed' })
    const unknown = ed25519.spki.with(8, 0x71)
    await expect(verify(unknown)).rejects.toMatchObject({ code: 'key_algorithm_unsupported' })
  })
})

describe.each(decrypting)('policy rule 14: proof by decrypting, %s', (kind, make) => {
  let pair: Pair
  let text: Uint8Array<ArrayBuffer>
  const challengeFor = (content: Uint8Array, spki = pair.spki) =>
    createDecryptionChallenge(crypto, spki, content, { brainpool })
  const prove = (envelopedData: Uint8Array, other: Partial<ExpectedProof> = {}) =>
    proveByDecrypting(pair.crypto, { ...expected(pair.spki), envelopedData, ...other }, pair.privateKey)

  beforeAll(async () => {
    pair = await make()
    text = await textFor(pair.spki)
  })

  it('opens, and answers what is expected, every time another', async () => {
    const first = await challengeFor(text)
    const second = await challengeFor(text)
    const proof = await prove(first.envelopedData)
    expect(equalSecrets(proof, first.expectedProof)).toBe(true)
    expect(equalSecrets(proof, second.expectedProof)).toBe(false)
    expect(await prove(second.envelopedData)).toEqual(second.expectedProof)
    expect(equalBytes(first.envelopedData, second.envelopedData)).toBe(false)
  })

  it('a compromise report has its own label', async () => {
    const { envelopedData, expectedProof } = await challengeFor(await textFor(pair.spki, otherTexts[4]?.[1]))
    expect(await prove(envelopedData, { purpose: 'compromise' })).toEqual(expectedProof)
    await expectRefused(prove(envelopedData))
  })

  it.each(otherTexts)('T of another %s is refused', async (_, other) => {
    const { envelopedData } = await challengeFor(await textFor(pair.spki, other))
    await expectRefused(prove(envelopedData))
  })

  it('an intercepted mail is refused, also in the very form of a challenge', async () => {
    const mail = bytesOf('Content-Type: text/plain\r\n\r\nThe password is correct horse battery staple.\r\n')
    for (const content of [mail, new Uint8Array(), concatBytes(text, mail), text.subarray(1)]) {
      await expectRefused(prove((await challengeFor(content)).envelopedData))
    }
  })

  it('the challenge of another key is refused, also under the name of this one', async () => {
    const other = await make()
    const { envelopedData } = await challengeFor(text, other.spki)
    await expectRefused(prove(envelopedData))
    const read = readChallengeEnvelope(envelopedData)
    const { keyIdentifier } = readChallengeEnvelope((await challengeFor(text)).envelopedData).recipient
    await expectRefused(prove(writeChallengeEnvelope({ ...read, recipient: { ...read.recipient, keyIdentifier } })))
  })

  it('a challenge that was touched anywhere is refused, or its answer is not the one expected', async () => {
    const { envelopedData, expectedProof } = await challengeFor(text)
    const untouchable = envelopedData.length - 64
    for (let index = 0; index < envelopedData.length; index += kind === 'X25519' ? 1 : 7) {
      const proving = prove(envelopedData.with(index, (envelopedData[index] ?? 0) ^ (1 << (index % 8))))
      if (index < untouchable) {
        await expectRefused(proving)
        continue
      }
      // CBC does not protect the random octets at the end; without them nobody gains from their change.
      const proof = await proving.catch((error: unknown) => (expect(error).toMatchObject(refusal), undefined))
      if (proof !== undefined) expect(equalSecrets(proof, expectedProof)).toBe(false)
    }
  })

  it('another implementation opens it to T and 32 octets y, and HMAC(y, T) is the answer', async () => {
    const keys = nodeKeys(kind)
    const spki = new Uint8Array(keys.publicKey.export({ type: 'spki', format: 'der' }))
    const own = await textFor(spki)
    const { envelopedData, expectedProof } = await challengeFor(own, spki)
    const plaintext = openWithNode(envelopedData, keys)
    expect(plaintext.subarray(0, -32)).toEqual(own)
    const mac = node.createHmac('sha256', plaintext.subarray(-32)).update(own).digest()
    expect(toHex(expectedProof)).toBe(mac.toString('hex'))
  })
})

/** RFC 5753, RFC 8418 and RFC 3560 once more, by OpenSSL's parts and with the SharedInfo as it stands in DER. */
function openWithNode(envelopedData: Uint8Array, { publicKey, privateKey }: node.KeyPairKeyObjectResult): Uint8Array {
  const { recipient, initialisationVector, ciphertext } = readChallengeEnvelope(envelopedData)
  let contentKey: Uint8Array
  if (recipient.kind === 'transport') {
    contentKey = node.privateDecrypt({ key: privateKey, oaepHash: 'sha256' }, recipient.encryptedKey)
  } else {
    const sharedInfo = Buffer.from('3015300b060960864801650304012da206040400000100', 'hex')
    const ownSpki = publicKey.export({ type: 'spki', format: 'der' })
    const header = ownSpki.subarray(0, ownSpki.length - recipient.ephemeral.length)
    const key = Buffer.concat([header, recipient.ephemeral])
    const ephemeral = node.createPublicKey({ key, type: 'spki', format: 'der' })
    const secret = node.diffieHellman({ privateKey, publicKey: ephemeral })
    const round = Buffer.from([0, 0, 0, 1])
    const wrapKey =
      recipient.on === 'X25519'
        ? new Uint8Array(node.hkdfSync('sha256', secret, Buffer.alloc(32), sharedInfo, 32))
        : node.createHash('sha256').update(secret).update(round).update(sharedInfo).digest()
    const unwrap = node.createDecipheriv('id-aes256-wrap', wrapKey, Buffer.alloc(8, 0xa6))
    contentKey = Buffer.concat([unwrap.update(recipient.encryptedKey), unwrap.final()])
  }
  const decipher = node.createDecipheriv('aes-256-cbc', contentKey, initialisationVector)
  return new Uint8Array(Buffer.concat([decipher.update(ciphertext), decipher.final()]))
}

describe('policy rule 14: only the form that the service makes', () => {
  const swap = (bytes: Uint8Array, from: string, to: string) => {
    const hex = toHex(bytes)
    expect(hex).toContain(from)
    return Uint8Array.from(Buffer.from(hex.replace(from, to), 'hex'))
  }
  const both = [
    ['AES-128-CBC', '60864801650304012a', '608648016503040102'],
    ['AuthEnvelopedData', '2a864886f70d010703', '2a864886f70d010717'],
    ['signed content', '2a864886f70d010701', '2a864886f70d010702'],
  ] as const
  const forms = {
    'RSA 2048': [
      ...both,
      ['PKCS#1 v1.5', '2a864886f70d010107', '2a864886f70d010101'],
      ['OAEP with SHA-384', '608648016503040201', '608648016503040202'],
      ['recipient of version 0', '02010280', '02010080'],
      ['issuer and serial number', '8014', '3014'],
    ],
    'P-256': [
      ...both,
      ['SHA-384 KDF', '2b8104010b01', '2b8104010b02'],
      ['cofactor DH', '2b8104010b01', '2b8104010e01'],
      ['AES-128 wrap', '60864801650304012d', '608648016503040105'],
    ],
    X25519: [...both, ['HKDF-SHA-384', '09100313', '09100314']],
  } as const

  it.each(Object.entries(forms))('%s', async (kind, cases) => {
    const make = decrypting.find(([name]) => name === kind)?.[1]
    if (make === undefined) throw new Error('no such kind')
    const pair = await make()
    const { envelopedData } = await createDecryptionChallenge(crypto, pair.spki, await textFor(pair.spki))
    for (const [, from, to] of cases) {
      const foreign = swap(envelopedData, from, to)
      expect(() => readChallengeEnvelope(foreign)).toThrow(MalformedDer)
      await expectRefused(
        proveByDecrypting(crypto, { ...expected(pair.spki), envelopedData: foreign }, pair.privateKey),
      )
    }
  })

  it('an EC recipient and an RSA key, each given to the other', async () => {
    const [one, two] = await Promise.all([
      makePair(rsa('RSA-OAEP', 2048), ['decrypt', 'encrypt']),
      makePair({ name: 'ECDH', namedCurve: 'P-256' }, ['deriveBits']),
    ])
    for (const [own, other] of [[one, two] as const, [two, one] as const]) {
      const made = await createDecryptionChallenge(crypto, other.spki, await textFor(own.spki))
      const read = readChallengeEnvelope(made.envelopedData)
      const named = readChallengeEnvelope(
        (await createDecryptionChallenge(crypto, own.spki, new Uint8Array())).envelopedData,
      )
      const { keyIdentifier } = named.recipient
      const envelopedData = writeChallengeEnvelope({ ...read, recipient: { ...read.recipient, keyIdentifier } })
      await expectRefused(proveByDecrypting(crypto, { ...expected(own.spki), envelopedData }, own.privateKey))
    }
  })

  it('a content key of another size, with all else as it should be', async () => {
    const initialisationVector = new Uint8Array(16)
    const encryptWith = async (size: number, text: Uint8Array<ArrayBuffer>) => {
      const contentKey = await crypto.subtle.importKey('raw', new Uint8Array(size), 'AES-CBC', true, ['encrypt'])
      const plaintext = concatBytes(text, new Uint8Array(32))
      const algorithm = { name: 'AES-CBC', iv: initialisationVector }
      return { contentKey, ciphertext: new Uint8Array(await crypto.subtle.encrypt(algorithm, contentKey, plaintext)) }
    }
    const forRsa = async (spki: Uint8Array<ArrayBuffer>, size: number) => {
      const { contentKey, ciphertext } = await encryptWith(size, await textFor(spki))
      const algorithm = { name: 'RSA-OAEP', hash: 'SHA-256' }
      const publicKey = await crypto.subtle.importKey('spki', spki, algorithm, false, ['wrapKey'])
      const encryptedKey = new Uint8Array(await crypto.subtle.wrapKey('raw', contentKey, publicKey, algorithm))
      const keyIdentifier = await keyIdentifierOf(crypto, readProofKey(spki).bits)
      const recipient = { kind: 'transport', keyIdentifier, encryptedKey } as const
      return writeChallengeEnvelope({ recipient, initialisationVector, ciphertext })
    }
    const forX25519 = async (spki: Uint8Array<ArrayBuffer>, size: number) => {
      const { contentKey, ciphertext } = await encryptWith(size, await textFor(spki))
      const own = await crypto.subtle.generateKey('X25519', false, ['deriveBits'])
      const publicKey = await crypto.subtle.importKey('spki', spki, 'X25519', false, [])
      const sides = { crypto, on: 'X25519', privateKey: own.privateKey, publicKey, size: 32 } as const
      const wrapKey = await agreeOnWrapKey(crypto, sides, 'wrapKey')
      const encryptedKey = new Uint8Array(await crypto.subtle.wrapKey('raw', contentKey, wrapKey, 'AES-KW'))
      const ephemeral = new Uint8Array(await crypto.subtle.exportKey('raw', own.publicKey))
      const keyIdentifier = await keyIdentifierOf(crypto, readProofKey(spki).bits)
      const recipient = { kind: 'agreement', on: 'X25519', ephemeral, keyIdentifier, encryptedKey } as const
      return writeChallengeEnvelope({ recipient, initialisationVector, ciphertext })
    }
    const rsaPair = await makePair(rsa('RSA-OAEP', 2048), ['decrypt', 'encrypt'])
    const x25519Pair = await makePair({ name: 'X25519' }, ['deriveBits'])
    for (const [{ spki, privateKey }, make] of [[rsaPair, forRsa] as const, [x25519Pair, forX25519] as const]) {
      const prove = async (size: number) =>
        proveByDecrypting(crypto, { ...expected(spki), envelopedData: await make(spki, size) }, privateKey)
      expect(await prove(32)).toEqual(await decryptionProof(crypto, new Uint8Array(32), await textFor(spki)))
      await expectRefused(prove(16))
    }
  })

  it('the reader takes what the writer writes, and else throws its own error alone', async () => {
    const { spki } = await makePair({ name: 'ECDH', namedCurve: 'P-256' }, ['deriveBits'])
    const { envelopedData } = await createDecryptionChallenge(crypto, spki, await textFor(spki))
    expect(writeChallengeEnvelope(readChallengeEnvelope(envelopedData))).toEqual(envelopedData)
    const readOrRefuse = (bytes: Uint8Array) => {
      try {
        expect(toBase64(writeChallengeEnvelope(readChallengeEnvelope(bytes)))).toBe(toBase64(bytes))
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedDer)
      }
    }
    const octets = fc.uint8Array({ maxLength: 80 })
    const position = fc.nat({ max: envelopedData.length })
    fc.assert(fc.property(octets, readOrRefuse))
    fc.assert(
      fc.property(position, fc.nat({ max: 8 }), octets, (start, gone, inserted) => {
        const [head, tail] = [envelopedData.subarray(0, start), envelopedData.subarray(start + gone)]
        readOrRefuse(concatBytes(head, inserted, tail))
      }),
      { numRuns: runs(1000) },
    )
    const sized = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
    const recipient = fc.oneof(
      fc.record({ kind: fc.constant('transport' as const), keyIdentifier: octets, encryptedKey: octets }),
      fc.record({
        kind: fc.constant('agreement' as const),
        on: fc.constantFrom('EC' as const, 'X25519' as const),
        ephemeral: octets,
        keyIdentifier: octets,
        encryptedKey: octets,
      }),
    )
    const envelope = fc.record({ recipient, initialisationVector: sized(16), ciphertext: sized(32) })
    fc.assert(
      fc.property(envelope, (made) => {
        expect(readChallengeEnvelope(writeChallengeEnvelope(made))).toEqual(made)
      }),
    )
  })
})

describe('policy rule 14: keys', () => {
  it('an X25519 key with which every secret is zero, and points off their curves, get no challenge', async () => {
    const { spki } = await makePair({ name: 'X25519' }, ['deriveBits'])
    for (const first of [0, 1]) {
      const zero = Uint8Array.of(...spki.subarray(0, -32), first, ...new Uint8Array(31))
      await expect(createDecryptionChallenge(crypto, zero, spki)).rejects.toMatchObject({ code: 'key_malformed' })
    }
    for (const namedCurve of curves) {
      const pair = await makePair({ name: 'ECDH', namedCurve }, ['deriveBits'], ownerOf(namedCurve))
      const off = pair.spki.with(pair.spki.length - 1, (pair.spki.at(-1) ?? 0) ^ 1)
      const making = createDecryptionChallenge(crypto, off, pair.spki, { brainpool })
      await expect(making).rejects.toMatchObject({ code: 'key_malformed' })
    }
  })

  it('an ephemeral point that is compressed, hybrid, off its curve or infinity is refused as everything else is', async () => {
    for (const namedCurve of curves) {
      const pair = await makePair({ name: 'ECDH', namedCurve }, ['deriveBits'], ownerOf(namedCurve))
      const text = await textFor(pair.spki)
      const made = await createDecryptionChallenge(crypto, pair.spki, text, { brainpool })
      const read = readChallengeEnvelope(made.envelopedData)
      if (read.recipient.kind !== 'agreement') throw new Error('not an agreement')
      const { ephemeral } = read.recipient
      const size = (ephemeral.length - 1) / 2
      const compressed = Uint8Array.of(2 + ((ephemeral.at(-1) ?? 0) & 1), ...ephemeral.subarray(1, 1 + size))
      const off = ephemeral.with(2 * size, (ephemeral.at(-1) ?? 0) ^ 1)
      const hybrid = ephemeral.with(0, 6 + ((ephemeral.at(-1) ?? 0) & 1))
      for (const other of [compressed, hybrid, off, Uint8Array.of(0), new Uint8Array(2 * size + 1).fill(4, 0, 1)]) {
        const envelopedData = writeChallengeEnvelope({ ...read, recipient: { ...read.recipient, ephemeral: other } })
        await expectRefused(proveByDecrypting(pair.crypto, { ...expected(pair.spki), envelopedData }, pair.privateKey))
      }
    }
  })

  it('a private key that cannot serve is named before the challenge is looked at', async () => {
    const sign = await makePair(rsa('RSASSA-PKCS1-v1_5', 2048), ['sign', 'verify'])
    const sha1 = await makePair(rsa('RSA-OAEP', 2048, 'SHA-1'), ['decrypt', 'encrypt'])
    const p256 = await makePair({ name: 'ECDH', namedCurve: 'P-256' }, ['deriveBits'])
    const p384 = await makePair({ name: 'ECDH', namedCurve: 'P-384' }, ['deriveBits'])
    const keysOnly = await makePair({ name: 'ECDH', namedCurve: 'P-256' }, ['deriveKey'])
    const ed25519 = await makePair({ name: 'Ed25519' }, ['sign'])
    const x25519 = await makePair({ name: 'X25519' }, ['deriveBits'])
    const nothing = new Uint8Array()
    const unsuitable = { name: 'ProofError', code: 'private_key_unsuitable' }
    const cases = [
      [sign, sign],
      [sha1, sha1],
      [p256, p384],
      [p256, keysOnly],
      [ed25519, ed25519],
      [x25519, p256],
    ] as const
    for (const [{ spki }, { privateKey }] of cases) {
      const proving = proveByDecrypting(crypto, { ...expected(spki), envelopedData: nothing }, privateKey)
      await expect(proving).rejects.toMatchObject(unsuitable)
    }
    for (const { spki, privateKey } of [sha1, p256, x25519]) {
      const proving = proveBySigning(crypto, { ...expected(spki), toBeSigned: nothing }, privateKey)
      await expect(proving).rejects.toMatchObject(unsuitable)
    }
  })

  it('a challenge id that is none is refused by the device', async () => {
    const { spki, privateKey } = await makePair({ name: 'Ed25519' }, ['sign'])
    const toBeSigned = bytesOf('I owe Mallory 1000 euros.')
    const challenge = { origin, spki, toBeSigned, challengeId: 'x\nI owe Mallory 1000 euros.' }
    await expectRefused(proveBySigning(crypto, challenge, privateKey))
  })

  it('equal proofs are equal in length and in every octet', async () => {
    const proof = await decryptionProof(crypto, new Uint8Array(32), bytesOf('T'))
    expect(equalSecrets(proof, proof.slice())).toBe(true)
    for (const index of proof.keys())
      expect(equalSecrets(proof, proof.with(index, 255 - (proof[index] ?? 0)))).toBe(false)
    expect(equalSecrets(proof, proof.subarray(1))).toBe(false)
    expect(equalSecrets(proof, concatBytes(proof, Uint8Array.of(0)))).toBe(false)
  })
})
