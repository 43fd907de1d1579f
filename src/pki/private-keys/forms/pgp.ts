/** A secret key packet of OpenPGP whose public part is readable. */
export interface PgpSecretKey {
  /** RFC 9580 section 9.1. */
  readonly algorithm: number
  /** The OID of the curve without its header, if the algorithm has one. */
  readonly curve: Uint8Array | null
  /** What follows the octet "not encrypted". Null if the key is encrypted. */
  readonly secret: Uint8Array | null
}

/** RFC 9580 section 9.2: the first two octets of the OIDs of all curves in use. */
const curveBeginnings = [0x2a86, 0x2b81, 0x2b24, 0x2b06, 0x2b65]

/**
 * The types of packets that may follow a secret key: signature, user id, user attribute, subkeys, padding, trust,
 * another key.
 */
const followers = new Set([2, 5, 6, 7, 12, 13, 14, 17, 21])

/** RFC 9580 section 3.2: where the MPI at `at` ends. -1 if its first octet does not fit its number of bits. */
function endOfMpi(view: Uint8Array, at: number, least: number, most: number): number {
  const bits = (view[at] ?? 0) * 256 + (view[at + 1] ?? 0)
  if (bits < least || bits > most) return -1
  if (32 - Math.clz32(view[at + 2] ?? 0) !== ((bits - 1) & 7) + 1) return -1
  return at + 2 + Math.ceil(bits / 8)
}

function endOfMpis(view: Uint8Array, at: number, count: number): number {
  let place = at
  for (let index = 0; index < count && place >= 0; index++) place = endOfMpi(view, place, 2, 16_384)
  return place
}

/** Where the public values of a key end. -1 if they do not fit the algorithm. */
function endOfPublicValues(view: Uint8Array, at: number, algorithm: number): number {
  if (algorithm >= 1 && algorithm <= 3) {
    const modulus = endOfMpi(view, at, 512, 16_384)
    return modulus < 0 ? -1 : endOfMpi(view, modulus, 2, 64)
  }
  if (algorithm === 16) return endOfMpi(view, at, 512, 16_384) < 0 ? -1 : endOfMpis(view, at, 3)
  if (algorithm === 17) return endOfMpi(view, at, 512, 16_384) < 0 ? -1 : endOfMpis(view, at, 4)
  if (algorithm >= 25 && algorithm <= 28) return at + ([32, 56, 32, 57][algorithm - 25] ?? 0)
  if (algorithm !== 18 && algorithm !== 19 && algorithm !== 22) return -1
  const size = view[at] ?? 0
  const beginning = (view[at + 1] ?? 0) * 256 + (view[at + 2] ?? 0)
  if (size < 3 || size > 16 || !curveBeginnings.includes(beginning)) return -1
  const point = endOfMpi(view, at + 1 + size, 240, 1100)
  if (point < 0 || algorithm !== 18) return point
  // The parameters of the key derivation: their size and the reserved 1.
  return view[point] === 3 && view[point + 1] === 1 ? point + 4 : -1
}

/** RFC 9580 section 4.2.1 and 4.2.2: where the body of a packet begins and ends. Null if its length is not definite. */
function bodyOf(view: Uint8Array, at: number): { start: number; end: number } | null {
  const header = view[at] ?? 0
  const one = view[at + 1] ?? 0
  if ((header & 0x40) === 0) {
    const type = header & 3
    if (type === 0) return { start: at + 2, end: at + 2 + one }
    if (type === 1) return { start: at + 3, end: at + 3 + one * 256 + (view[at + 2] ?? 0) }
    if (type === 2) return { start: at + 5, end: at + 5 + sizeAt(view, at + 1) }
    return { start: at + 1, end: view.length }
  }
  if (one < 192) return { start: at + 2, end: at + 2 + one }
  if (one < 224) return { start: at + 3, end: at + 3 + (one - 192) * 256 + (view[at + 2] ?? 0) + 192 }
  return one < 255 ? null : { start: at + 6, end: at + 6 + sizeAt(view, at + 2) }
}

/** Whether the packet is the last one, is cut off, or is followed by a packet that may follow it. */
function endsWell(view: Uint8Array, end: number): boolean {
  const next = view[end]
  if (next === undefined) return true
  if (next < 0x80) return false
  return followers.has((next & 0x40) === 0 ? (next & 0x3f) >> 2 : next & 0x3f)
}

/**
 * RFC 9580 section 5.5.3: the secret key packet at `at`, or null. Its first octet is common, so everything readable of
 * it must fit the standard. In random bytes that happens at one of 2^38 places.
 */
export function pgpSecretKeyAt(view: Uint8Array, at: number): PgpSecretKey | null {
  const body = bodyOf(view, at)
  if (body === null) return null
  const { start, end } = body
  const version = view[start] ?? 0
  if (version < 2 || version > 6) return null
  const place = version < 4 ? start + 7 : start + 5
  const algorithm = view[place] ?? 0
  const values = place + (version < 5 ? 1 : 5)
  const native = algorithm >= 25 && algorithm <= 28
  if (native && (version < 4 || version === 5)) return null
  const usage = endOfPublicValues(view, values, algorithm)
  if (usage < 0 || usage >= view.length || usage >= end) return null
  if (version > 4 && sizeAt(view, place + 1) !== usage - values) return null
  const protection = view[usage] ?? 0
  if (protection > 13 && protection < 253) return null
  if (native && version === 4 && protection === 0 && end - usage !== usage - values + 3) return null
  if (native && version === 4 && protection > 0 && (protection < 253 || end - usage > 120)) return null
  if (end - usage > 3 * (usage - start) + 200 && (view[at] ?? 0) % 4 !== 3) return null
  if (!endsWell(view, end)) return null
  const curve = algorithm === 18 || algorithm === 19 || algorithm === 22
  return {
    algorithm,
    curve: curve ? view.subarray(values + 1, values + 1 + (view[values] ?? 0)) : null,
    secret: protection === 0 ? view.subarray(usage + (version === 5 ? 5 : 1), end) : null,
  }
}

const sizeAt = (view: Uint8Array, at: number): number =>
  (view[at] ?? 0) * 2 ** 24 + (view[at + 1] ?? 0) * 65_536 + (view[at + 2] ?? 0) * 256 + (view[at + 3] ?? 0)
