import {
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  readObjectIdentifier,
  readUnsigned,
  tag,
  type DerElement,
} from '../der.ts'
import { curveNames, ellipticCurve, type CurveName, type EllipticCurve } from '../elliptic-curves.ts'
import { toInteger } from '../integers.ts'
import { oid } from '../object-identifiers.ts'
import { inverse, modulo, toBase64Url, toOctets } from './integers.ts'
import type { PrivateValues } from './values.ts'

/** The names of curves in OpenSSH (RFC 5656 section 10.1). */
const namesOfSsh: Readonly<Record<string, CurveName>> = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521' }

/** The curve of an object identifier. Null if it is unknown. */
export const curveByIdentifier = (identifier: string): CurveName | null =>
  curveNames.find((name) => ellipticCurve(name).identifier === identifier) ?? null

/**
 * The curve of an object identifier, or of explicit parameters (SEC 1 appendix C.2) that are those of a curve here: its
 * field, base point and order. Null if it is none of them.
 */
export function curveOf(parameters: DerElement): CurveName | null {
  if (parameters.tag === tag.objectIdentifier) return curveByIdentifier(readObjectIdentifier(parameters))
  const parts = new DerSequence(parameters)
  parts.next(tag.integer)
  const field = new DerSequence(parts.next(tag.sequence))
  field.next(tag.objectIdentifier)
  const prime = toInteger(readUnsigned(field.next(tag.integer)))
  parts.next(tag.sequence)
  const base = parts.next(tag.octetString).content
  const order = toInteger(readUnsigned(parts.next(tag.integer)))
  const isBase = ({ base: [x], octets }: EllipticCurve): boolean => toInteger(base.subarray(1, 1 + octets)) === x
  return (
    curveNames.find((name) => {
      const curve = ellipticCurve(name)
      return curve.prime === prime && curve.order === order && isBase(curve)
    }) ?? null
  )
}

/** The curve of a name in another standard. */
export const curveByName = (text: string): CurveName | null =>
  curveNames.find((name) => name === text) ?? namesOfSsh[text] ?? null

/** The NIST curve whose private values have this many octets. */
export const curveBySize = (size: number): CurveName | null =>
  curveNames.find((name) => ellipticCurve(name).octets === size) ?? null

/** X, Y, Z stand for the point (X / Z^2, Y / Z^3). Z is zero for the point at infinity. */
type Point = readonly [x: bigint, y: bigint, z: bigint]

function double({ prime, a }: EllipticCurve, [x, y, z]: Point): Point {
  if (z === 0n || y === 0n) return [1n, 1n, 0n]
  const square = (y * y) % prime
  const s = (4n * x * square) % prime
  const zSquare = (z * z) % prime
  const m = (3n * x * x + a * zSquare * zSquare) % prime
  const nextX = modulo(m * m - 2n * s, prime)
  return [nextX, modulo(m * (s - nextX) - 8n * square * square, prime), (2n * y * z) % prime]
}

function add(curve: EllipticCurve, left: Point, right: Point): Point {
  const { prime } = curve
  if (left[2] === 0n) return right
  if (right[2] === 0n) return left
  const leftSquare = (left[2] * left[2]) % prime
  const rightSquare = (right[2] * right[2]) % prime
  const u = (left[0] * rightSquare) % prime
  const s = (left[1] * rightSquare * right[2]) % prime
  const h = modulo(right[0] * leftSquare - u, prime)
  const r = modulo(right[1] * leftSquare * left[2] - s, prime)
  if (h === 0n) return r === 0n ? double(curve, left) : [1n, 1n, 0n]
  const hSquare = (h * h) % prime
  const hCube = (hSquare * h) % prime
  const v = (u * hSquare) % prime
  const x = modulo(r * r - hCube - 2n * v, prime)
  return [x, modulo(r * (v - x) - s * hCube, prime), (left[2] * right[2] * h) % prime]
}

/**
 * The base point times `d`, which is between 1 and the order. Its time depends on `d`. That does not matter: somebody
 * has sent this key over a network, so it is no secret any more.
 */
function publicPoint(curve: EllipticCurve, d: bigint): readonly [x: bigint, y: bigint] | null {
  let result: Point = [1n, 1n, 0n]
  const base: Point = [...curve.base, 1n]
  for (const bit of d.toString(2)) {
    result = double(curve, result)
    if (bit === '1') result = add(curve, result, base)
  }
  const z = inverse(result[2], curve.prime)
  if (z === null) return null
  const zSquare = (z * z) % curve.prime
  return [(result[0] * zSquare) % curve.prime, (result[1] * zSquare * z) % curve.prime]
}

/**
 * The SubjectPublicKeyInfo of an EC key. It is computed from the private value alone, and proved by a signature. Null
 * if that fails.
 */
export async function ecPublicKey(
  crypto: Crypto,
  { curve: name, d }: Extract<PrivateValues, { kind: 'ec' }>,
): Promise<Uint8Array | null> {
  const curve = ellipticCurve(name)
  if (d < 1n || d >= curve.order) return null
  const point = publicPoint(curve, d)
  if (point === null) return null
  const [x, y] = point.map((coordinate) => toOctets(coordinate, curve.octets))
  if (x === undefined || y === undefined) return null
  const spki = encodeElement(
    tag.sequence,
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.idEcPublicKey), encodeObjectIdentifier(curve.identifier)),
    encodeElement(tag.bitString, Uint8Array.of(0, 4), x, y),
  )
  const algorithm = { name: 'ECDSA', namedCurve: name, hash: 'SHA-256' }
  const jwk = { kty: 'EC', crv: name, x: toBase64Url(x), y: toBase64Url(y), d: toBase64Url(toOctets(d, curve.octets)) }
  const privateKey = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
  const publicKey = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify'])
  const message = crypto.getRandomValues(new Uint8Array(32))
  const signature = await crypto.subtle.sign(algorithm, privateKey, message)
  return (await crypto.subtle.verify(algorithm, publicKey, signature, message)) ? spki : null
}
