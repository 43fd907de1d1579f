import {
  contextConstructed,
  contextPrimitive,
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  encodeOctetsAsBitString,
  MalformedDer,
  readElement,
  readObjectIdentifier,
  readOctetsOfBitString,
  tag,
  type DerElement,
} from '../der.ts'
import { equalBytes } from '../encoding.ts'
import { oid } from '../object-identifiers.ts'

/** The content-encryption key for an RSA key: RFC 5652 section 6.2.1, RSAES-OAEP with SHA-256. */
export interface KeyTransport {
  readonly kind: 'transport'
  readonly keyIdentifier: Uint8Array
  readonly encryptedKey: Uint8Array
}

/** The content-encryption key for a key-agreement key: RFC 5652 section 6.2.2, wrapped with AES-256. */
export interface KeyAgreement {
  readonly kind: 'agreement'
  /** `EC`: RFC 5753 with the X9.63 KDF and SHA-256. `X25519`: RFC 8418 with HKDF-SHA-256. */
  readonly on: 'EC' | 'X25519'
  /** The originator's public key: an uncompressed point, or the 32 octets of X25519. */
  readonly ephemeral: Uint8Array
  readonly keyIdentifier: Uint8Array
  readonly encryptedKey: Uint8Array
}

/** The parts that differ between challenges. The rest of the EnvelopedData is always the same. */
export interface ChallengeEnvelope {
  readonly recipient: KeyTransport | KeyAgreement
  /** Of AES-256-CBC, 16 octets. */
  readonly initialisationVector: Uint8Array
  readonly ciphertext: Uint8Array
}

const sequence = (...contents: readonly Uint8Array[]) => encodeElement(tag.sequence, ...contents)
const octetString = (content: Uint8Array) => encodeElement(tag.octetString, content)
const version = (number: number) => encodeElement(tag.integer, Uint8Array.of(number))
const identifier = (algorithm: string, ...parameters: readonly Uint8Array[]) =>
  sequence(encodeObjectIdentifier(algorithm), ...parameters)

/** RFC 3565 section 2.3.2: no parameters. */
const keyWrap = identifier(oid.aes256Wrap)

/**
 * RFC 4055 section 4.1: hash and mask use SHA-256; the label is empty, so it is left out. Section 2.1: NULL is written.
 */
const sha256 = identifier(oid.sha256, encodeElement(tag.null))
const oaep = identifier(
  oid.rsaesOaep,
  sequence(
    encodeElement(contextConstructed(0), sha256),
    encodeElement(contextConstructed(1), identifier(oid.mgf1, sha256)),
  ),
)

/** RFC 5753 section 3.1.1: no parameters, the curve is the recipient's. RFC 8418 section 3.1. */
const agreements = {
  EC: { key: identifier(oid.idEcPublicKey), scheme: identifier(oid.dhSinglePassStdDhSha256Kdf, keyWrap) },
  X25519: { key: identifier(oid.x25519), scheme: identifier(oid.dhSinglePassStdDhHkdfSha256, keyWrap) },
} as const

/**
 * `ECC-CMS-SharedInfo` of RFC 5753 section 7.2, also used by RFC 8418 section 2: the wrap algorithm and the bits of its
 * key, without user keying material.
 */
export const sharedInfo: Uint8Array<ArrayBuffer> = sequence(
  keyWrap,
  encodeElement(contextConstructed(2), octetString(Uint8Array.of(0, 0, 1, 0))),
)

/** Writes the ContentInfo with EnvelopedData, RFC 5652 section 6.1, for one recipient. */
export function writeChallengeEnvelope(envelope: ChallengeEnvelope): Uint8Array<ArrayBuffer> {
  const { recipient, initialisationVector, ciphertext } = envelope
  const encryptedContent = sequence(
    encodeObjectIdentifier(oid.data),
    identifier(oid.aes256Cbc, octetString(initialisationVector)),
    encodeElement(contextPrimitive(0), ciphertext),
  )
  const recipients = encodeElement(
    tag.set,
    recipient.kind === 'transport' ? writeTransport(recipient) : writeAgreement(recipient),
  )
  // Section 6.1: version 2, since no recipient is of version 0.
  const envelopedData = sequence(version(2), recipients, encryptedContent)
  return sequence(encodeObjectIdentifier(oid.envelopedData), encodeElement(contextConstructed(0), envelopedData))
}

function writeTransport({ keyIdentifier, encryptedKey }: KeyTransport): Uint8Array {
  const recipientIdentifier = encodeElement(contextPrimitive(0), keyIdentifier)
  return sequence(version(2), recipientIdentifier, oaep, octetString(encryptedKey))
}

function writeAgreement({ on, ephemeral, keyIdentifier, encryptedKey }: KeyAgreement): Uint8Array {
  const { key, scheme } = agreements[on]
  const originatorKey = encodeElement(contextConstructed(1), key, encodeOctetsAsBitString(ephemeral))
  const recipientIdentifier = encodeElement(contextConstructed(0), octetString(keyIdentifier))
  return encodeElement(
    contextConstructed(1),
    version(3),
    encodeElement(contextConstructed(0), originatorKey),
    scheme,
    sequence(sequence(recipientIdentifier, octetString(encryptedKey))),
  )
}

/**
 * Reads what `writeChallengeEnvelope` wrote, and nothing else. It reads the parts that differ, writes the whole again
 * from them, and compares. So any other algorithm, recipient, attribute or encoding is refused without a rule of its
 * own, and encrypted mail of other programs does not pass. Throws MalformedDer.
 */
export function readChallengeEnvelope(bytes: Uint8Array): ChallengeEnvelope {
  const contentInfo = new DerSequence(readElement(bytes, tag.sequence))
  contentInfo.next(tag.objectIdentifier)
  const explicit = contentInfo.next(contextConstructed(0))
  const envelopedData = new DerSequence(readElement(explicit.content, tag.sequence))
  envelopedData.next(tag.integer)
  const recipient = readRecipient(readElement(envelopedData.next(tag.set).content))
  const encryptedContent = new DerSequence(envelopedData.next(tag.sequence))
  encryptedContent.next(tag.objectIdentifier)
  const encryption = new DerSequence(encryptedContent.next(tag.sequence))
  encryption.next(tag.objectIdentifier)
  const initialisationVector = encryption.next(tag.octetString).content
  const ciphertext = encryptedContent.next(contextPrimitive(0)).content

  const envelope = { recipient, initialisationVector, ciphertext }
  const isWhole =
    initialisationVector.length === 16 &&
    ciphertext.length > 0 &&
    ciphertext.length % 16 === 0 &&
    equalBytes(writeChallengeEnvelope(envelope), bytes)
  if (!isWhole) throw new MalformedDer('not the EnvelopedData of a challenge')
  return envelope
}

function readRecipient(element: DerElement): KeyTransport | KeyAgreement {
  return element.tag === tag.sequence ? readTransport(element) : readAgreement(element)
}

function readTransport(element: DerElement): KeyTransport {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const keyIdentifier = parts.next(contextPrimitive(0)).content
  parts.next(tag.sequence)
  return { kind: 'transport', keyIdentifier, encryptedKey: parts.next(tag.octetString).content }
}

function readAgreement(element: DerElement): KeyAgreement {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const originator = readElement(parts.next(contextConstructed(0)).content, contextConstructed(1))
  const originatorKey = new DerSequence(originator)
  const algorithm = new DerSequence(originatorKey.next(tag.sequence)).next(tag.objectIdentifier)
  const on = readObjectIdentifier(algorithm) === oid.x25519 ? 'X25519' : 'EC'
  const ephemeral = readOctetsOfBitString(originatorKey.next(tag.bitString))
  parts.next(tag.sequence)
  const recipients = parts.next(tag.sequence)
  const recipient = new DerSequence(readElement(recipients.content, tag.sequence))
  const keyIdentifier = readElement(recipient.next(contextConstructed(0)).content, tag.octetString).content
  return { kind: 'agreement', on, ephemeral, keyIdentifier, encryptedKey: recipient.next(tag.octetString).content }
}
