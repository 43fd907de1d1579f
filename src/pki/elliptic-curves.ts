import { encodeElement, encodeObjectIdentifier, tag } from './der.ts'
import { equalBytes } from './encoding.ts'
import { toInteger } from './integers.ts'
import { oid } from './object-identifiers.ts'

/** A curve y^2 = x^3 + ax + b over the integers modulo a prime; each has the cofactor 1. */
export interface EllipticCurve {
  /** What RFC 5480 section 2.1.1.1 and RFC 5639 section 4.1 call `namedCurve`. */
  readonly identifier: string
  /** Of one coordinate. */
  readonly octets: number
  /** Not a curve of Web Crypto, and only of the profile `private`. */
  readonly brainpool: boolean
  readonly prime: bigint
  readonly a: bigint
  readonly b: bigint
}

/** Policy rule 5. SP 800-186 section 3.2.1; RFC 5639 sections 3.4, 3.6 and 3.7. The names are those of Web Crypto. */
const curves = {
  'P-256': {
    identifier: '1.2.840.10045.3.1.7',
    octets: 32,
    brainpool: false,
    prime: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    a: -3n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  'P-384': {
    identifier: '1.3.132.0.34',
    octets: 48,
    brainpool: false,
    prime: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    a: -3n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
  'P-521': {
    identifier: '1.3.132.0.35',
    octets: 66,
    brainpool: false,
    prime:
      0x1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffn,
    a: -3n,
    b: 0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  },
  brainpoolP256r1: {
    identifier: '1.3.36.3.3.2.8.1.1.7',
    octets: 32,
    brainpool: true,
    prime: 0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377n,
    a: 0x7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9n,
    b: 0x26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6n,
  },
  brainpoolP384r1: {
    identifier: '1.3.36.3.3.2.8.1.1.11',
    octets: 48,
    brainpool: true,
    prime: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53n,
    a: 0x7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826n,
    b: 0x4a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11n,
  },
  brainpoolP512r1: {
    identifier: '1.3.36.3.3.2.8.1.1.13',
    octets: 64,
    brainpool: true,
    prime:
      0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3n,
    a: 0x7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94can,
    b: 0x3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723n,
  },
} as const satisfies Record<string, EllipticCurve>

/** The named curves that are accepted. */
export type CurveName = keyof typeof curves

const curveNames: readonly CurveName[] = [
  'P-256',
  'P-384',
  'P-521',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
]

/** The parameters of a curve. */
export function ellipticCurve(name: CurveName): EllipticCurve {
  return curves[name]
}

/** RFC 5480 section 2.1.1: id-ecPublicKey with the name of a curve, and in no other form. */
const identifiers = curveNames.map((name) => ({
  name,
  bytes: encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.idEcPublicKey),
    encodeObjectIdentifier(curves[name].identifier),
  ),
}))

/** The curve that an AlgorithmIdentifier names, compared byte for byte; undefined for any other. */
export function curveOfIdentifier(identifier: Uint8Array): CurveName | undefined {
  return identifiers.find(({ bytes }) => equalBytes(bytes, identifier))?.name
}

/**
 * SP 800-56A section 5.6.2.3.3: uncompressed, not infinity, both coordinates in range, and on the curve. Since the
 * cofactor is 1, every such point has the order of the curve.
 */
export function isPointOnCurve(name: CurveName, point: Uint8Array): boolean {
  const { octets, prime, a, b } = curves[name]
  if (point.length !== 1 + 2 * octets || point[0] !== 4) return false
  const x = toInteger(point.subarray(1, 1 + octets))
  const y = toInteger(point.subarray(1 + octets))
  return x < prime && y < prime && (y * y - ((x * x + a) * x + b)) % prime === 0n
}
