import {
  contextConstructed,
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  MalformedDer,
  readElement,
  readUnsigned,
  tag,
} from './der.ts'
import { readSpki } from './spki.ts'
import { curveOfIdentifier, ellipticCurve, type CurveName } from './elliptic-curves.ts'
import { equalBytes, toBufferSource } from './encoding.ts'
import { oid } from './object-identifiers.ts'

/** A PKIX signature: the signed bytes, the algorithm, and the value without its BIT STRING. */
export interface SignedBytes {
  /** The AlgorithmIdentifier, whole. */
  readonly algorithm: Uint8Array
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}

type Hash = 'SHA-256' | 'SHA-384' | 'SHA-512'

interface SignatureAlgorithm {
  readonly family: 'ECDSA' | 'RSASSA-PKCS1-v1_5' | 'RSA-PSS' | 'Ed25519'
  readonly hash: Hash
  readonly identifiers: readonly Uint8Array[]
}

const nothing = new Uint8Array()
const derNull = encodeElement(tag.null)

/** RFC 5754 section 2: the identifiers of the hashes. RFC 4055 section 3.1: the salt is as long as the hash. */
const hashes: Readonly<Record<Hash, { readonly identifier: string; readonly octets: number }>> = {
  'SHA-256': { identifier: '2.16.840.1.101.3.4.2.1', octets: 32 },
  'SHA-384': { identifier: '2.16.840.1.101.3.4.2.2', octets: 48 },
  'SHA-512': { identifier: '2.16.840.1.101.3.4.2.3', octets: 64 },
}

function identifier(algorithm: string, parameters: Uint8Array = nothing): Uint8Array {
  return encodeElement(tag.sequence, encodeObjectIdentifier(algorithm), parameters)
}

/** RFC 5758 section 3.2: ecdsa-with-SHA2 has no parameters. */
function ecdsa(hash: Hash, algorithm: string): SignatureAlgorithm {
  return { family: 'ECDSA', hash, identifiers: [identifier(algorithm)] }
}

/** RFC 4055 section 5: the parameters are NULL. A reader must also accept that they are absent. */
function rsa(hash: Hash, algorithm: string): SignatureAlgorithm {
  return { family: 'RSASSA-PKCS1-v1_5', hash, identifiers: [identifier(algorithm, derNull), identifier(algorithm)] }
}

/**
 * RFC 4055 section 3.1, S/MIME BR 7.1.3.2: MGF1 with the same hash, a salt as long as the hash, and trailer field 1.
 * The parameters of the hash may be NULL or absent (section 2.1), and the trailer field may be written or left out. So
 * there are eight ways to write it, and no other is accepted.
 */
function rsaPss(hash: Hash): SignatureAlgorithm {
  const { identifier: name, octets } = hashes[hash]
  const ways = [derNull, nothing].map((parameters) => identifier(name, parameters))
  const salt = encodeElement(contextConstructed(2), encodeElement(tag.integer, Uint8Array.of(octets)))
  const trailer = encodeElement(contextConstructed(3), encodeElement(tag.integer, Uint8Array.of(1)))
  const identifiers = ways.flatMap((hashing) =>
    ways.flatMap((masking) =>
      [nothing, trailer].map((trailing) => {
        const mask = encodeElement(contextConstructed(1), identifier(oid.mgf1, masking))
        const parameters = [encodeElement(contextConstructed(0), hashing), mask, salt, trailing]
        return identifier(oid.rsassaPss, encodeElement(tag.sequence, ...parameters))
      }),
    ),
  )
  return { family: 'RSA-PSS', hash, identifiers }
}

/** Policy rule 2: no MD5, no SHA-1, no DSA. */
const signatureAlgorithms: readonly SignatureAlgorithm[] = [
  ecdsa('SHA-256', '1.2.840.10045.4.3.2'),
  ecdsa('SHA-384', '1.2.840.10045.4.3.3'),
  ecdsa('SHA-512', '1.2.840.10045.4.3.4'),
  rsa('SHA-256', '1.2.840.113549.1.1.11'),
  rsa('SHA-384', '1.2.840.113549.1.1.12'),
  rsa('SHA-512', '1.2.840.113549.1.1.13'),
  rsaPss('SHA-256'),
  rsaPss('SHA-384'),
  rsaPss('SHA-512'),
  // RFC 8410 section 3: no parameters. RFC 8032 section 5.1: the hash belongs to the algorithm.
  { family: 'Ed25519', hash: 'SHA-512', identifiers: [identifier(oid.ed25519)] },
]

/** Whether an AlgorithmIdentifier is accepted, policy rule 2. */
export function isAcceptedSignatureAlgorithm(algorithm: Uint8Array): boolean {
  return findAlgorithm(algorithm) !== undefined
}

/** Verifies signatures by one key; see `signatureVerifier`. */
export type SignatureVerifier = (signed: SignedBytes) => Promise<boolean>

/**
 * Makes a verifier of PKIX signatures by the key of a SubjectPublicKeyInfo. It imports the key for the first signature
 * and keeps it, because importing a key of a curve costs as much as verifying. `brainpool` verifies for the curves that
 * Web Crypto lacks; null if the runtime has none. The result is false if a signature does not verify, if the algorithm
 * is not accepted or does not fit the key, and if the runtime cannot read the key. Call `checkPublicKey` on the key of
 * a certificate request before.
 */
export function signatureVerifier(
  crypto: Crypto,
  spki: Uint8Array,
  brainpool: Crypto | null = null,
): SignatureVerifier {
  const keys = new Map<string, CryptoKey>()
  return async ({ algorithm, signed, signature }) => {
    const known = findAlgorithm(algorithm)
    const way = known === undefined ? undefined : wayToVerify(crypto, brainpool, spki, { ...known, value: signature })
    if (way === undefined) return false
    const { subtle, imported, verified, value } = way
    const id = JSON.stringify(imported)
    // Web Crypto throws for a key that it cannot read. Some runtimes also throw for a signature of an impossible form.
    try {
      const key = keys.get(id) ?? (await importKey(subtle, spki, imported))
      keys.set(id, key)
      return await subtle.verify(verified, key, toBufferSource(value), toBufferSource(signed))
    } catch {
      return false
    }
  }
}

/** Verifies one signature; see `signatureVerifier`. */
export async function verifySignature(
  crypto: Crypto,
  spki: Uint8Array,
  signed: SignedBytes,
  brainpool: Crypto | null = null,
): Promise<boolean> {
  return await signatureVerifier(crypto, spki, brainpool)(signed)
}

type ImportParameters = EcKeyImportParams | RsaHashedImportParams | Algorithm

/** What Web Crypto is to be asked. */
interface WayToVerify {
  readonly subtle: SubtleCrypto
  readonly imported: ImportParameters
  readonly verified: EcdsaParams | RsaPssParams | Algorithm
  /** The signature as Web Crypto takes it. */
  readonly value: Uint8Array
}

/** Undefined if key or signature do not fit the algorithm, and for an unknown curve. */
function wayToVerify(
  { subtle }: Crypto,
  brainpool: Crypto | null,
  spki: Uint8Array,
  { family, hash, value: signature }: SignatureAlgorithm & { readonly value: Uint8Array },
): WayToVerify | undefined {
  switch (family) {
    case 'ECDSA': {
      const namedCurve = curveOf(spki)
      if (namedCurve === undefined) return undefined
      const curve = ellipticCurve(namedCurve)
      const able = curve.brainpool ? brainpool?.subtle : subtle
      const value = ecdsaSignatureToRaw(signature, curve.octets)
      if (able === undefined || value === undefined) return undefined
      return { subtle: able, imported: { name: family, namedCurve }, verified: { name: family, hash }, value }
    }
    case 'RSASSA-PKCS1-v1_5':
      return { subtle, imported: { name: family, hash }, verified: { name: family }, value: signature }
    case 'RSA-PSS': {
      const saltLength = hashes[hash].octets
      return { subtle, imported: { name: family, hash }, verified: { name: family, saltLength }, value: signature }
    }
    case 'Ed25519':
      return { subtle, imported: { name: family }, verified: { name: family }, value: signature }
  }
}

/** A key of a curve is imported as its point: OpenSSL takes three times as long for an SPKI. */
async function importKey(subtle: SubtleCrypto, spki: Uint8Array, imported: ImportParameters): Promise<CryptoKey> {
  if (imported.name !== 'ECDSA')
    return await subtle.importKey('spki', toBufferSource(spki), imported, false, ['verify'])
  return await subtle.importKey('raw', toBufferSource(readSpki(spki).key), imported, false, ['verify'])
}

/** Whether the runtime can read an RSA key. Workers know only the public exponents 3 and 65537. */
export async function canReadRsaKey({ subtle }: Crypto, spki: Uint8Array): Promise<boolean> {
  try {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    await subtle.importKey('spki', toBufferSource(spki), algorithm, false, ['verify'])
    return true
  } catch {
    return false
  }
}

function findAlgorithm(identifier: Uint8Array): SignatureAlgorithm | undefined {
  return signatureAlgorithms.find(({ identifiers }) => identifiers.some((known) => equalBytes(known, identifier)))
}

/** The curve of a key. An issuer's key may be of any kind, and nobody has checked it yet. */
function curveOf(spki: Uint8Array): CurveName | undefined {
  try {
    return curveOfIdentifier(new DerSequence(readElement(spki, tag.sequence)).next(tag.sequence).bytes)
  } catch (error) {
    if (error instanceof MalformedDer) return undefined
    throw error
  }
}

/**
 * Turns `ECDSA-Sig-Value` (RFC 5480 appendix A) into two integers side by side, for Web Crypto. Undefined unless it is
 * two integers in DER that fit the curve.
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
