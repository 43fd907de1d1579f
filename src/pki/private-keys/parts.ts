import {
  contextConstructed,
  DerSequence,
  readElement,
  readFirstElement,
  readObjectIdentifier,
  readUnsigned,
  tag,
  type DerElement,
} from '../der.ts'
import type { CurveName } from '../elliptic-curves.ts'
import { toInteger } from '../integers.ts'
import { oid } from '../object-identifiers.ts'
import { curve25519ByIdentifier } from './curve25519.ts'
import { curveBySize, curveOf } from './curves.ts'

/** The parts of a private key in DER, public and private, as they stand there. Nothing is proved. */
export type KeyParts =
  | {
      readonly kind: 'rsa'
      readonly n: bigint
      readonly e: bigint
      readonly d: bigint
      readonly p: bigint
      readonly q: bigint
    }
  | {
      readonly kind: 'ec'
      readonly curve: CurveName
      readonly value: Uint8Array
      /** What follows the parameters: the public key, if the key came with it. */
      readonly rest: DerSequence
    }
  | { readonly kind: 'Ed25519' | 'X25519'; readonly seed: Uint8Array }

/** RFC 4055 section 3.1: a key for RSASSA-PSS only is an RSA key too. */
const rsaAlgorithms = new Set<string>([oid.rsaEncryption, oid.rsassaPss])

/** RFC 5480 section 2.1.2: so are keys for ECDH or ECMQV only. */
const ecAlgorithms = new Set<string>([oid.idEcPublicKey, '1.3.132.1.12', '1.3.132.1.13'])

/** RFC 8017 appendix A.1.2. Throws MalformedDer. */
export function pkcs1Parts(element: DerElement): Extract<KeyParts, { kind: 'rsa' }> {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const next = (): bigint => toInteger(readUnsigned(parts.next(tag.integer)))
  return { kind: 'rsa', n: next(), e: next(), d: next(), p: next(), q: next() }
}

/** RFC 5958 section 2. Null if the algorithm or the curve is none of those that are read. Throws MalformedDer. */
export function pkcs8Parts(element: DerElement): KeyParts | null {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const identifier = new DerSequence(parts.next(tag.sequence))
  const algorithm = readObjectIdentifier(identifier.next(tag.objectIdentifier))
  const key = parts.next(tag.octetString).content
  const edwards = curve25519ByIdentifier(algorithm)
  if (edwards !== null) return { kind: edwards, seed: readElement(key, tag.octetString).content }
  if (rsaAlgorithms.has(algorithm)) return pkcs1Parts(readFirstElement(key))
  if (!ecAlgorithms.has(algorithm)) return null
  const curve = curveOf(identifier.next())
  return curve === null ? null : sec1Parts(readFirstElement(key), curve)
}

/**
 * RFC 5915 section 3. `outer` is the curve named around it. Without any name, the size of the value tells the curve.
 * Null if the curve is none of those that are read. Throws MalformedDer.
 */
export function sec1Parts(element: DerElement, outer: CurveName | null = null): KeyParts | null {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const value = parts.next(tag.octetString).content
  const parameters = parts.optional(contextConstructed(0))
  const inner = parameters === undefined ? curveBySize(value.length) : curveOf(readFirstElement(parameters.content))
  const curve = outer ?? inner
  return curve === null ? null : { kind: 'ec', curve, value, rest: parts }
}
