import {
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  MalformedDer,
  readElement,
  readObjectIdentifier,
  readUnsigned,
  tag,
} from './der.ts'
import { equalBytes, toBufferSource } from './encoding.ts'
import { oid } from './object-identifiers.ts'

/** A signature of PKIX: what was signed, by which algorithm, and the value without its BIT STRING. */
export interface SignedBytes {
  /** The AlgorithmIdentifier, whole. */
  readonly algorithm: Uint8Array
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}

interface SignatureAlgorithm {
  readonly family: 'ECDSA' | 'RSASSA-PKCS1-v1_5'
  readonly hash: 'SHA-256' | 'SHA-384' | 'SHA-512'
  readonly identifiers: readonly Uint8Array[]
}

/** RFC 5758 section 3.2: the parameters of ecdsa-with-SHA2 are absent. */
function ecdsa(hash: SignatureAlgorithm['hash'], identifier: string): SignatureAlgorithm {
  return { family: 'ECDSA', hash, identifiers: [encodeElement(tag.sequence, encodeObjectIdentifier(identifier))] }
}

/** RFC 4055 section 5: the parameters are NULL, and a reader accepts them absent as well. */
function rsa(hash: SignatureAlgorithm['hash'], identifier: string): SignatureAlgorithm {
  const encoded = encodeObjectIdentifier(identifier)
  const identifiers = [
    encodeElement(tag.sequence, encoded, encodeElement(tag.null)),
    encodeElement(tag.sequence, encoded),
  ]
  return { family: 'RSASSA-PKCS1-v1_5', hash, identifiers }
}

/** Policy rule 2: no MD5, no SHA-1, no DSA. */
const signatureAlgorithms: readonly SignatureAlgorithm[] = [
  ecdsa('SHA-256', '1.2.840.10045.4.3.2'),
  ecdsa('SHA-384', '1.2.840.10045.4.3.3'),
  ecdsa('SHA-512', '1.2.840.10045.4.3.4'),
  rsa('SHA-256', '1.2.840.113549.1.1.11'),
  rsa('SHA-384', '1.2.840.113549.1.1.12'),
  rsa('SHA-512', '1.2.840.113549.1.1.13'),
]

/** The curves whose signatures are verified, with the octets of one coordinate; RFC 5480 section 2.1.1.1. */
const curves = [
  { name: 'P-256', size: 32, identifier: '1.2.840.10045.3.1.7' },
  { name: 'P-384', size: 48, identifier: '1.3.132.0.34' },
  { name: 'P-521', size: 66, identifier: '1.3.132.0.35' },
] as const

/** Whether signatures by this AlgorithmIdentifier are looked at, policy rule 2. */
export function isAcceptedSignatureAlgorithm(algorithm: Uint8Array): boolean {
  return findAlgorithm(algorithm) !== undefined
}

/**
 * Verifies a PKIX signature with the key of a SubjectPublicKeyInfo. False for a signature that does not verify, an
 * algorithm that is not accepted or does not fit the key, and a key the runtime cannot read. A certificate request's
 * own key has passed `checkPublicKey` before.
 */
export async function verifySignature(crypto: Crypto, spki: Uint8Array, signed: SignedBytes): Promise<boolean> {
  const algorithm = findAlgorithm(signed.algorithm)
  if (algorithm === undefined) return false
  return algorithm.family === 'ECDSA'
    ? await verifyEcdsa(crypto, algorithm, spki, signed)
    : await verifyRsa(crypto, algorithm, spki, signed)
}

function findAlgorithm(identifier: Uint8Array): SignatureAlgorithm | undefined {
  return signatureAlgorithms.find(({ identifiers }) => identifiers.some((known) => equalBytes(known, identifier)))
}

async function verifyRsa(
  crypto: Crypto,
  { family, hash }: SignatureAlgorithm,
  spki: Uint8Array,
  { signed, signature }: SignedBytes,
): Promise<boolean> {
  const key = await importKey(crypto, spki, { name: family, hash })
  return key !== undefined && (await verify(crypto, { name: family }, key, signature, signed))
}

async function verifyEcdsa(
  crypto: Crypto,
  { family, hash }: SignatureAlgorithm,
  spki: Uint8Array,
  { signed, signature }: SignedBytes,
): Promise<boolean> {
  const curve = curveOf(spki)
  if (curve === undefined) return false
  const raw = ecdsaSignatureToRaw(signature, curve.size)
  if (raw === undefined) return false
  const key = await importKey(crypto, spki, { name: family, namedCurve: curve.name })
  return key !== undefined && (await verify(crypto, { name: family, hash }, key, raw, signed))
}

/** Web Crypto throws on a key it cannot read, and for a signature of impossible shape some runtimes do, too. */
async function importKey(
  crypto: Crypto,
  spki: Uint8Array,
  algorithm: EcKeyImportParams | RsaHashedImportParams,
): Promise<CryptoKey | undefined> {
  try {
    return await crypto.subtle.importKey('spki', toBufferSource(spki), algorithm, false, ['verify'])
  } catch {
    return undefined
  }
}

async function verify(
  crypto: Crypto,
  algorithm: AlgorithmIdentifier | EcdsaParams,
  key: CryptoKey,
  signature: Uint8Array,
  signed: Uint8Array,
): Promise<boolean> {
  try {
    return await crypto.subtle.verify(algorithm, key, toBufferSource(signature), toBufferSource(signed))
  } catch {
    return false
  }
}

function curveOf(spki: Uint8Array) {
  try {
    const identifier = new DerSequence(new DerSequence(readElement(spki, tag.sequence)).next(tag.sequence))
    if (readObjectIdentifier(identifier.next(tag.objectIdentifier)) !== oid.idEcPublicKey) return undefined
    const curve = readObjectIdentifier(identifier.next(tag.objectIdentifier))
    return curves.find((known) => known.identifier === curve)
  } catch (error) {
    if (error instanceof MalformedDer) return undefined
    throw error
  }
}

/**
 * From `ECDSA-Sig-Value` (RFC 5480 appendix A) to the two integers side by side, as Web Crypto takes them. Undefined
 * for anything but two integers in DER that fit the curve.
 */
function ecdsaSignatureToRaw(signature: Uint8Array, size: number): Uint8Array<ArrayBuffer> | undefined {
  try {
    const parts = new DerSequence(readElement(signature, tag.sequence))
    const r = readUnsigned(parts.next(tag.integer))
    const s = readUnsigned(parts.next(tag.integer))
    parts.end()
    if (r.length > size || s.length > size) return undefined
    const raw = new Uint8Array(2 * size)
    raw.set(r, size - r.length)
    raw.set(s, 2 * size - s.length)
    return raw
  } catch (error) {
    if (error instanceof MalformedDer) return undefined
    throw error
  }
}
