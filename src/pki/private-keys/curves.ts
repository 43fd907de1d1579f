import { encodeElement, encodeObjectIdentifier, tag } from '../der.ts'
import { oid } from '../object-identifiers.ts'
import { inverse, modulo, toBase64Url, toOctets } from './integers.ts'
import type { PrivateValues } from './values.ts'

/** A curve y^2 = x^3 + ax + b over a prime field; b is not needed to multiply its base point. */
interface Curve {
  /** The names under which Web Crypto, RFC 5656, and RFC 7518 know it. */
  readonly names: readonly [webCrypto: string, ...others: string[]]
  readonly oid: string
  /** Octets of a coordinate. */
  readonly size: number
  readonly prime: bigint
  readonly a: bigint
  readonly base: readonly [x: bigint, y: bigint]
  readonly order: bigint
}

const p256Prime = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
const p384Prime = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n
const p521Prime = 2n ** 521n - 1n

/** SP 800-186 section 3.2.1, and RFC 5639 section 3. */
const curves: readonly Curve[] = [
  {
    names: ['P-256', 'nistp256'],
    oid: '1.2.840.10045.3.1.7',
    size: 32,
    prime: p256Prime,
    a: p256Prime - 3n,
    base: [
      0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
      0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
    ],
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  {
    names: ['P-384', 'nistp384'],
    oid: '1.3.132.0.34',
    size: 48,
    prime: p384Prime,
    a: p384Prime - 3n,
    base: [
      0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7n,
      0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5fn,
    ],
    order: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  {
    names: ['P-521', 'nistp521'],
    oid: '1.3.132.0.35',
    size: 66,
    prime: p521Prime,
    a: p521Prime - 3n,
    base: [
      0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66n,
      0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650n,
    ],
    order:
      0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
  {
    names: ['brainpoolP256r1'],
    oid: '1.3.36.3.3.2.8.1.1.7',
    size: 32,
    prime: 0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377n,
    a: 0x7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9n,
    base: [
      0x8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262n,
      0x547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997n,
    ],
    order: 0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7n,
  },
  {
    names: ['brainpoolP384r1'],
    oid: '1.3.36.3.3.2.8.1.1.11',
    size: 48,
    prime: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53n,
    a: 0x7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826n,
    base: [
      0x1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1en,
      0x8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315n,
    ],
    order: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565n,
  },
  {
    names: ['brainpoolP512r1'],
    oid: '1.3.36.3.3.2.8.1.1.13',
    size: 64,
    prime:
      0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3n,
    a: 0x7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94can,
    base: [
      0x81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822n,
      0x7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892n,
    ],
    order:
      0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069n,
  },
]

/** The name of a curve by its object identifier; null for one that is not known. */
export const curveByIdentifier = (identifier: string): string | null =>
  curves.find((curve) => curve.oid === identifier)?.names[0] ?? null

/** The name of a curve by the name that another standard gives it. */
export const curveByName = (name: string): string | null =>
  curves.find((curve) => curve.names.includes(name))?.names[0] ?? null

/** The curve of NIST's that a private value of this many octets belongs to. */
export const curveBySize = (size: number): string | null =>
  curves.find((curve) => curve.size === size)?.names[0] ?? null

/** X, Y, Z that stand for (X / Z^2, Y / Z^3); Z is zero for the point at infinity. */
type Point = readonly [x: bigint, y: bigint, z: bigint]

function double({ prime, a }: Curve, [x, y, z]: Point): Point {
  if (z === 0n || y === 0n) return [1n, 1n, 0n]
  const square = (y * y) % prime
  const s = (4n * x * square) % prime
  const zSquare = (z * z) % prime
  const m = (3n * x * x + a * zSquare * zSquare) % prime
  const nextX = modulo(m * m - 2n * s, prime)
  return [nextX, modulo(m * (s - nextX) - 8n * square * square, prime), (2n * y * z) % prime]
}

function add(curve: Curve, left: Point, right: Point): Point {
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
 * The base point times `d`, which is between 1 and the order. Its time tells of `d`, which is no secret any more: this
 * is for keys that somebody has sent over a network.
 */
function publicPoint(curve: Curve, d: bigint): readonly [x: bigint, y: bigint] | null {
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

/** The SubjectPublicKeyInfo of an EC key, from its private value alone, proved by a signature; else null. */
export async function ecPublicKey(
  crypto: Crypto,
  { curve: name, d }: Extract<PrivateValues, { kind: 'ec' }>,
): Promise<Uint8Array | null> {
  const curve = curves.find(({ names }) => names[0] === name)
  if (curve === undefined || d < 1n || d >= curve.order) return null
  const point = publicPoint(curve, d)
  if (point === null) return null
  const [x, y] = point.map((coordinate) => toOctets(coordinate, curve.size))
  if (x === undefined || y === undefined) return null
  const spki = encodeElement(
    tag.sequence,
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.idEcPublicKey), encodeObjectIdentifier(curve.oid)),
    encodeElement(tag.bitString, Uint8Array.of(0, 4), x, y),
  )
  const algorithm = { name: 'ECDSA', namedCurve: name, hash: 'SHA-256' }
  const jwk = { kty: 'EC', crv: name, x: toBase64Url(x), y: toBase64Url(y), d: toBase64Url(toOctets(d, curve.size)) }
  const privateKey = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
  const publicKey = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify'])
  const message = crypto.getRandomValues(new Uint8Array(32))
  const signature = await crypto.subtle.sign(algorithm, privateKey, message)
  return (await crypto.subtle.verify(algorithm, publicKey, signature, message)) ? spki : null
}
