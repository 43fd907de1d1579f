/** Certificate requests, and keys alone, by rules 5 and 6: elliptic curves, Ed25519 and X25519. */
import { concatBytes } from '../src/pki/encoding.ts'
import { encodeObjectIdentifier } from '../src/pki/der.ts'
import {
  assemble,
  bitString,
  derNull,
  identifier,
  inWork,
  makeKey,
  openssl,
  request,
  sequence,
  spkiOf,
  writeDer,
} from './workshop.ts'

/** Octets of a coordinate, and the name of the curve as an OBJECT IDENTIFIER. */
const curves = {
  p256: { openssl: 'P-256', octets: 32, name: '1.2.840.10045.3.1.7', hash: 'sha256' },
  p384: { openssl: 'P-384', octets: 48, name: '1.3.132.0.34', hash: 'sha384' },
  p521: { openssl: 'P-521', octets: 66, name: '1.3.132.0.35', hash: 'sha512' },
  brainpoolP256r1: { openssl: 'brainpoolP256r1', octets: 32, name: '1.3.36.3.3.2.8.1.1.7', hash: 'sha256' },
  brainpoolP384r1: { openssl: 'brainpoolP384r1', octets: 48, name: '1.3.36.3.3.2.8.1.1.11', hash: 'sha384' },
  brainpoolP512r1: { openssl: 'brainpoolP512r1', octets: 64, name: '1.3.36.3.3.2.8.1.1.13', hash: 'sha512' },
} as const

const idEcPublicKey = '1.2.840.10045.2.1'
const ed25519 = '1.3.101.112'
const x25519 = '1.3.101.110'

function withPoint(curve: string, point: Uint8Array, unusedBits = 0): Uint8Array {
  return sequence(identifier(idEcPublicKey, encodeObjectIdentifier(curve)), bitString(point, unusedBits))
}

export function makeCurveKeys(): void {
  makeNamedCurves()
  makeOtherForms()
  makeEd25519()
  makeX25519()
}

/** For each curve one request that passes, and one for a point beside it. */
function makeNamedCurves(): void {
  for (const [key, curve] of Object.entries(curves)) {
    if (key !== 'p256') {
      makeKey(key, 'EC', `ec_paramgen_curve:${curve.openssl}`)
      request(`csr-${key}.pem`, { key, flags: [`-${curve.hash}`] })
    }
    const point = spkiOf(key).slice(-2 * curve.octets - 1)
    const beside = Uint8Array.from(point)
    beside[beside.length - 1] = (beside.at(-1) ?? 0) ^ 1
    writeDer(`csr-${key}-point-off-curve.der`, assemble({ spki: withPoint(curve.name, beside) }))
  }
  request('csr-p384-sha256.pem', { key: 'p384', flags: ['-sha256'] })
  request('csr-p521-sha256.pem', { key: 'p521', flags: ['-sha256'] })
  request('csr-brainpoolP512r1-sha256.pem', { key: 'brainpoolP512r1', flags: ['-sha256'] })
}

function makeOtherForms(): void {
  const { name } = curves.p256
  const point = spkiOf('p256').slice(-65)
  const write = (file: string, spki: Uint8Array) => writeDer(file, assemble({ spki }))
  write('csr-point-at-infinity.der', withPoint(name, Uint8Array.of(0)))
  write('csr-point-of-zeros.der', withPoint(name, concatBytes(Uint8Array.of(4), new Uint8Array(64))))
  write(
    'csr-point-hybrid.der',
    withPoint(name, concatBytes(Uint8Array.of(6 + ((point.at(-1) ?? 0) & 1)), point.slice(1))),
  )
  write('csr-point-short.der', withPoint(name, point.slice(0, -1)))
  write('csr-point-empty.der', withPoint(name, new Uint8Array()))
  write('csr-key-with-unused-bits.der', withPoint(name, point, 1))
  write('csr-p521-coordinate-above-prime.der', withPoint(curves.p521.name, notReduced()))
  write('csr-curve-absent.der', sequence(identifier(idEcPublicKey), bitString(point)))
  write('csr-curve-null.der', sequence(identifier(idEcPublicKey, derNull), bitString(point)))

  openssl('ec', '-in', inWork('p256.key'), '-conv_form', 'compressed', '-out', inWork('p256-compressed.key'))
  request('csr-compressed-point.pem', { key: 'p256-compressed' })
  makeKey('p256-explicit', 'EC', 'ec_paramgen_curve:P-256', 'ec_param_enc:explicit')
  request('csr-explicit-curve-parameters.pem', { key: 'p256-explicit' })
  for (const curve of ['secp256k1', 'brainpoolP256t1', 'brainpoolP320r1', 'P-224']) {
    makeKey(curve, 'EC', `ec_paramgen_curve:${curve}`)
    request(`csr-${curve.toLowerCase()}.pem`, { key: curve })
  }
  openssl('genpkey', '-genparam', '-algorithm', 'DSA', '-pkeyopt', 'dsa_paramgen_bits:1024', '-out', inWork('dsa.pem'))
  openssl('genpkey', '-paramfile', inWork('dsa.pem'), '-out', inWork('dsa.key'))
  request('csr-dsa-key.pem', { key: 'dsa' })
}

/** The x of a point of P-521 and the prime together still fit 66 octets, and mean the same modulo the prime. */
function notReduced(): Uint8Array {
  const point = spkiOf('p521').slice(-133)
  const x = BigInt(`0x${Buffer.from(point.slice(1, 67)).toString('hex')}`) + 2n ** 521n - 1n
  return concatBytes(Uint8Array.of(4), Buffer.from(x.toString(16).padStart(132, '0'), 'hex'), point.slice(67))
}

const prime = 2n ** 255n - 19n

/** RFC 7748 section 5, RFC 8032 section 5.1.2: 32 octets, the least significant first. */
function littleEndian(value: bigint): Uint8Array {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toReversed()
}

function makeEd25519(): void {
  const bad: Readonly<Record<string, Uint8Array>> = {
    'not-a-point': littleEndian(2n),
    'not-reduced': littleEndian(prime + 3n),
    'order-one': littleEndian(1n),
    'order-one-negative-zero': littleEndian(1n + 2n ** 255n),
    'order-two': littleEndian(prime - 1n),
    'order-four': littleEndian(0n),
    'order-eight': littleEndian(2707385501144840649318225287225658788936804267575313519463743609750303402022n),
    short: littleEndian(3n).subarray(0, 31),
  }
  for (const [what, key] of Object.entries(bad)) {
    writeDer(`csr-ed25519-${what}.der`, assemble({ spki: sequence(identifier(ed25519), bitString(key)) }))
  }
  const sound = spkiOf('ed25519').slice(-32)
  const spki = sequence(identifier(ed25519, derNull), bitString(sound))
  writeDer('csr-ed25519-parameters-null.der', assemble({ spki }))
}

/** RFC 7748 section 6.1 and what is known of the curve's points of small order; nothing here can sign a request. */
function makeX25519(): void {
  const sound = spkiOf('x25519')
  writeDer('spki-x25519.der', sound)
  const orderEight = [
    325606250916557431795983626356110631294008115727848805560023387167927233504n,
    39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  ] as const
  const topBit = Uint8Array.from(sound.slice(-32))
  topBit[31] = (topBit[31] ?? 0) | 0x80
  const bad: Readonly<Record<string, Uint8Array>> = {
    zero: littleEndian(0n),
    one: littleEndian(1n),
    'minus-one': littleEndian(prime - 1n),
    'order-eight': littleEndian(orderEight[0]),
    'order-eight-other': littleEndian(orderEight[1]),
    'not-reduced': littleEndian(prime + 9n),
    'top-bit-set': topBit,
    short: sound.slice(-31),
  }
  for (const [what, key] of Object.entries(bad)) {
    writeDer(`spki-x25519-${what}.der`, sequence(identifier(x25519), bitString(key)))
  }
  writeDer('spki-x25519-parameters-null.der', sequence(identifier(x25519, derNull), bitString(sound.slice(-32))))
}
