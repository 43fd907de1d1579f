import { encodeElement, encodeObjectIdentifier, tag } from './der.ts'
import { equalBytes } from './encoding.ts'
import { toInteger } from './integers.ts'
import { oid } from './object-identifiers.ts'

/** A curve y^2 = x^3 + ax + b over the integers modulo a prime. All of them have cofactor 1. */
export interface EllipticCurve {
  /** The `namedCurve` of RFC 5480 section 2.1.1.1 and RFC 5639 section 4.1. */
  readonly identifier: string
  /** The octets of one coordinate. */
  readonly octets: number
  /** Web Crypto lacks the curve, and only the profile `private` allows it. */
  readonly brainpool: boolean
  readonly prime: bigint
  readonly a: bigint
  readonly b: bigint
  readonly base: readonly [x: bigint, y: bigint]
  /** The order of the base point. */
  readonly order: bigint
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
    base: [
      0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
      0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
    ],
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  'P-384': {
    identifier: '1.3.132.0.34',
    octets: 48,
    brainpool: false,
    prime: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    a: -3n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    base: [
      0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7n,
      0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5fn,
    ],
    order: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  'P-521': {
    identifier: '1.3.132.0.35',
    octets: 66,
    brainpool: false,
    prime:
      0x1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffn,
    a: -3n,
    b: 0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    base: [
      0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66n,
      0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650n,
    ],
    order:
      0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
  brainpoolP256r1: {
    identifier: '1.3.36.3.3.2.8.1.1.7',
    octets: 32,
    brainpool: true,
    prime: 0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377n,
    a: 0x7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9n,
    b: 0x26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6n,
    base: [
      0x8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262n,
      0x547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997n,
    ],
    order: 0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7n,
  },
  brainpoolP384r1: {
    identifier: '1.3.36.3.3.2.8.1.1.11',
    octets: 48,
    brainpool: true,
    prime: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53n,
    a: 0x7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826n,
    b: 0x4a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11n,
    base: [
      0x1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1en,
      0x8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315n,
    ],
    order: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565n,
  },
  brainpoolP512r1: {
    identifier: '1.3.36.3.3.2.8.1.1.13',
    octets: 64,
    brainpool: true,
    prime:
      0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3n,
    a: 0x7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94can,
    b: 0x3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723n,
    base: [
      0x81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822n,
      0x7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892n,
    ],
    order:
      0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069n,
  },
} as const satisfies Record<string, EllipticCurve>

/** The named curves that are accepted. */
export type CurveName = keyof typeof curves

/** The accepted curves, in the order of the policy. */
export const curveNames: readonly CurveName[] = [
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

/** RFC 5480 section 2.1.1: id-ecPublicKey with a named curve, and in no other form. */
const identifiers = curveNames.map((name) => ({
  name,
  bytes: encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.idEcPublicKey),
    encodeObjectIdentifier(curves[name].identifier),
  ),
}))

/** The curve of an AlgorithmIdentifier, compared byte for byte. Undefined for any other. */
export function curveOfIdentifier(identifier: Uint8Array): CurveName | undefined {
  return identifiers.find(({ bytes }) => equalBytes(bytes, identifier))?.name
}

/**
 * SP 800-56A section 5.6.2.3.3: uncompressed, not infinity, both coordinates in range, on the curve. The cofactor is 1,
 * so every such point has the order of the curve.
 */
export function isPointOnCurve(name: CurveName, point: Uint8Array): boolean {
  const { octets, prime, a, b } = curves[name]
  if (point.length !== 1 + 2 * octets || point[0] !== 4) return false
  const x = toInteger(point.subarray(1, 1 + octets))
  const y = toInteger(point.subarray(1 + octets))
  return x < prime && y < prime && (y * y - ((x * x + a) * x + b)) % prime === 0n
}
