import type { PrivateKeyForm, Report } from '../form.ts'
import { pgpSecretKeyAt } from './pgp.ts'

const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0))

/** The first bytes of forms that are known by them. Null stands for any byte. */
const magics: readonly { readonly form: PrivateKeyForm; readonly bytes: readonly (number | null)[] }[] = [
  { form: 'jks', bytes: [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0] },
  { form: 'jceks', bytes: [0xce, 0xce, 0xce, 0xce, 0, 0, 0] },
  { form: 'openssh', bytes: ascii('openssh-key-v1\0') },
  { form: 'ms-pvk', bytes: [0x1e, 0xf1, 0xb5, 0xb0, 0, 0, 0, 0] },
  { form: 'ms-blob', bytes: [0x07, 0x02, 0, 0, null, null, null, null, ...ascii('RSA2')] },
  { form: 'ms-blob', bytes: [0x07, 0x02, 0, 0, null, null, null, null, ...ascii('DSS2')] },
  { form: 'ms-blob', bytes: [0x07, 0x02, 0, 0, null, null, null, null, ...ascii('DSS4')] },
  // bcrypt.h: BCRYPT_ECDSA_PRIVATE_P*_MAGIC, BCRYPT_ECDH_PRIVATE_P*_MAGIC with their key sizes
  ...['S', 'K'].flatMap((use) =>
    [
      { digit: '2', size: 32 },
      { digit: '4', size: 48 },
      { digit: '6', size: 66 },
    ].map(({ digit, size }) => ({
      form: 'ms-cng-blob' as const,
      bytes: [...ascii(`EC${use}${digit}`), size, 0, 0, 0],
    })),
  ),
]

const cngRsa = ascii('RSA')

const begins = { nothing: 0, magic: 1, der: 2, pgp: 3, cngRsa: 4, packed: 5 } as const

/** What may begin with two bytes, by their number. */
const beginnings = new Uint8Array(65_536)

function mark(first: number, from: number, to: number, kind: number): void {
  beginnings.fill(kind, first * 256 + from, first * 256 + to + 1)
}
for (const { bytes } of magics) mark(bytes[0] ?? 0, bytes[1] ?? 0, bytes[1] ?? 0, begins.magic)
mark(0x30, 0, 0x84, begins.der)
mark(0x52, 0x53, 0x53, begins.cngRsa)
// RFC 1952 section 2.3.1, and the local file header of PKWARE's APPNOTE.TXT section 4.3.7
mark(0x1f, 0x8b, 0x8b, begins.packed)
mark(0x50, 0x4b, 0x4b, begins.packed)
// RFC 9580 section 4.2: packet types 5 and 7, in the older format with any length type, and in the newer one
for (const byte of [0x94, 0x9c, 0xc5, 0xc7]) mark(byte, 0, 255, begins.pgp)
for (const byte of [0x95, 0x9d]) mark(byte, 0, 0x7f, begins.pgp)
for (const byte of [0x96, 0x9e]) mark(byte, 0, 0, begins.pgp)
for (const byte of [0x97, 0x9f]) mark(byte, 2, 6, begins.pgp)

/** One look at one place never reads more bytes than this. */
const stepsPerPlace = 64

/** Called where something compressed may begin. */
export type Unpack = (view: Uint8Array, at: number) => void

/** Finds binary forms wherever they begin. Returns the number of steps, which is linear in the size. */
export function scanBinary(view: Uint8Array, report: Report, unpack: Unpack): number {
  let steps = view.length
  for (let at = 0; at + 1 < view.length; at++) {
    const kind = beginnings[((view[at] ?? 0) << 8) | (view[at + 1] ?? 0)] ?? begins.nothing
    if (kind === begins.nothing || !mayBegin(view, 0, at, kind)) continue
    steps += stepsPerPlace
    const form = formAt(view, at, kind)
    if (kind === begins.packed) unpack(view, at)
    if (form === null) continue
    report(form, view.subarray(at))
    // What stands inside the form is not reported again. But a key store may hold keys that can be read.
    if (form === 'pkcs8' || form === 'pkcs1' || form === 'sec1') at = Math.max(at, endOf(view, at) - 1)
  }
  return steps
}

/**
 * In which of four readings something binary may begin: from the first bit, or without the first two, four or six bits.
 * Returns one bit for each (1, 2, 4, 8). Looks at every place of all four without making them.
 */
export function beginningsIn(bytes: Uint8Array): number {
  let found = 0
  let bits = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
  const last = bytes.length
  for (let next = 2; next < last; next++) {
    bits = ((bits << 8) | (bytes[next] ?? 0)) & 0xff_ffff
    const whole = beginnings[bits >> 8] ?? 0
    const two = beginnings[(bits >> 6) & 0xffff] ?? 0
    const four = beginnings[(bits >> 4) & 0xffff] ?? 0
    const six = beginnings[(bits >> 2) & 0xffff] ?? 0
    if ((whole | two | four | six) === 0) continue
    if (whole !== 0 && (found & 1) === 0 && mayBegin(bytes, 0, next - 2, whole)) found |= 1
    if (two !== 0 && (found & 2) === 0 && mayBegin(bytes, 2, next - 2, two)) found |= 2
    if (four !== 0 && (found & 4) === 0 && mayBegin(bytes, 4, next - 2, four)) found |= 4
    if (six !== 0 && (found & 8) === 0 && mayBegin(bytes, 6, next - 2, six)) found |= 8
  }
  return found
}

/** The byte at a place of the reading without the first `skipped` bits. 0 behind the end. */
function byteAt(bytes: Uint8Array, skipped: number, at: number): number {
  if (at >= bytes.length) return 0
  const next = at + 1 < bytes.length ? (bytes[at + 1] ?? 0) : 0
  return ((((bytes[at] ?? 0) << 8) | next) >> (8 - skipped)) & 0xff
}

/** Whether the next few bytes fit what begins with the two at `at`. Cheap; `formAt` reads on. */
function mayBegin(bytes: Uint8Array, skipped: number, at: number, kind: number): boolean {
  if (kind === begins.packed) return isPacked(bytes, skipped, at)
  if (kind === begins.pgp) return isPgpHead(bytes, skipped, at)
  if (kind === begins.magic) return magicAt(bytes, skipped, at) !== null
  if (kind === begins.cngRsa)
    return byteAt(bytes, skipped, at + 2) === 0x41 && (byteAt(bytes, skipped, at + 3) & 0xfe) === 0x32
  const content = behindLength(bytes, skipped, at)
  const type = byteAt(bytes, skipped, content)
  if (type === 0x30) return byteAt(bytes, skipped, behindLength(bytes, skipped, content)) === 0x06
  const version = byteAt(bytes, skipped, content + 2)
  return type === 0x02 && byteAt(bytes, skipped, content + 1) === 1 && version <= 3
}

function behindLength(bytes: Uint8Array, skipped: number, at: number): number {
  const first = byteAt(bytes, skipped, at + 1)
  return at + 2 + (first > 0x80 ? first & 7 : 0)
}

function isPacked(bytes: Uint8Array, skipped: number, at: number): boolean {
  const [third, fourth] = [byteAt(bytes, skipped, at + 2), byteAt(bytes, skipped, at + 3)]
  return byteAt(bytes, skipped, at) === 0x1f ? third === 8 && fourth < 0x20 : third === 3 && fourth === 4
}

/** Whether the head of a key stands behind the header at `at`: its version, its algorithm, and how its values begin. */
function isPgpHead(bytes: Uint8Array, skipped: number, at: number): boolean {
  const header = byteAt(bytes, skipped, at)
  const one = byteAt(bytes, skipped, at + 1)
  const size = (header & 0x40) === 0 ? (olderSizes[header & 3] ?? 0) : one < 192 ? 1 : one < 255 ? 2 : 5
  const start = at + 1 + size
  const version = byteAt(bytes, skipped, start)
  if (version < 2 || version > 6) return false
  const place = start + (version < 4 ? 7 : 5)
  const algorithm = byteAt(bytes, skipped, place)
  // Later versions say how many bytes the values have: fewer than 65,536.
  if (version > 4 && (byteAt(bytes, skipped, place + 1) | byteAt(bytes, skipped, place + 2)) !== 0) return false
  const values = place + (version < 5 ? 1 : 5)
  const first = byteAt(bytes, skipped, values)
  const second = byteAt(bytes, skipped, values + 1)
  if (algorithm >= 25 && algorithm <= 28) {
    const protection = byteAt(bytes, skipped, values + (nativeSizes[algorithm - 25] ?? 0))
    return (version === 4 && (protection === 0 || protection > 252)) || version === 6
  }
  if (algorithm === 18 || algorithm === 19 || algorithm === 22) {
    return first >= 3 && first <= 16 && (second === 0x2a || second === 0x2b)
  }
  if (algorithm !== 16 && algorithm !== 17 && (algorithm < 1 || algorithm > 3)) return false
  const octet = byteAt(bytes, skipped, values + 2)
  return first >= 2 && first <= 64 && 32 - Math.clz32(octet) === ((second - 1) & 7) + 1
}

const olderSizes = [1, 2, 4, 0]
const nativeSizes = [32, 56, 32, 57]

function formAt(view: Uint8Array, at: number, kind: number): PrivateKeyForm | null {
  if (kind === begins.packed) return null
  if (kind === begins.der) return derFormAt(view, at)
  if (kind === begins.pgp) return pgpSecretKeyAt(view, at) === null ? null : 'pgp'
  if (kind === begins.cngRsa) return isCngRsa(view, at) ? 'ms-cng-blob' : null
  return magicAt(view, 0, at)
}

/** The form whose first bytes stand at a place of the reading without the first `skipped` bits. */
function magicAt(view: Uint8Array, skipped: number, at: number): PrivateKeyForm | null {
  const first = byteAt(view, skipped, at)
  for (const { form, bytes } of magics) if (bytes[0] === first && isMagicAt(view, skipped, at, bytes)) return form
  return null
}

function isMagicAt(view: Uint8Array, skipped: number, at: number, bytes: readonly (number | null)[]): boolean {
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte !== null && byteAt(view, skipped, at + index) !== byte) return false
  }
  return true
}

function hasAt(view: Uint8Array, at: number, bytes: readonly (number | null)[]): boolean {
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte !== null && view[at + index] !== byte) return false
  }
  return true
}

/** bcrypt.h: BCRYPT_RSAPRIVATE_MAGIC or BCRYPT_RSAFULLPRIVATE_MAGIC, the bits, then sizes that fit them. */
function isCngRsa(view: Uint8Array, at: number): boolean {
  if (!hasAt(view, at, cngRsa) || (view[at + 3] !== 0x32 && view[at + 3] !== 0x33)) return false
  const little = (offset: number): number => (view[at + offset] ?? 0) + (view[at + offset + 1] ?? 0) * 256
  const high = [6, 7, 10, 11, 14, 15].some((offset) => view[at + offset] !== 0)
  return !high && little(4) >= 256 && little(12) === Math.ceil(little(4) / 8) && little(8) > 0 && little(8) <= 8
}

/** Where the content of the element at `at` begins. -1 if no header is there. */
function contentOf(view: Uint8Array, at: number): number {
  const first = view[at + 1] ?? 0xff
  if (first <= 0x80) return at + 2
  return first <= 0x84 ? at + 2 + (first & 0x7f) : -1
}

/** Where the element at `at` ends by its length. With an indefinite length: where its content begins. */
export function endOf(view: Uint8Array, at: number): number {
  const content = contentOf(view, at)
  if (content < 0) return view.length
  let length = view[at + 1] ?? 0
  if (length < 0x80) return content + length
  length = 0
  for (let index = at + 2; index < content; index++) length = length * 256 + (view[index] ?? 0)
  return content + length
}

// OIDs with their headers, as far as they are the same for all of a kind
const pkcs5 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05]
const pkcs12Encryption = [0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01]
const javaEncryption = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02]
const pkcs7 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07]

/**
 * The form of the SEQUENCE at `at`, by the types of its first elements. A certificate request begins with a version
 * too, but a Name follows, whose elements are not OBJECT IDENTIFIERs.
 */
function derFormAt(view: Uint8Array, at: number): PrivateKeyForm | null {
  const content = contentOf(view, at)
  if (content < 0) return null
  if (view[content] === 0x30) return isEncryptedPkcs8(view, content) ? 'encrypted-pkcs8' : null
  if (view[content] !== 0x02 || view[content + 1] !== 0x01) return null
  const version = view[content + 2] ?? 0xff
  const next = content + 3
  const type = view[next]
  if (version === 3 && type === 0x30) return hasAt(view, contentOf(view, next), pkcs7) ? 'pkcs12' : null
  if (version > 1) return null
  if (type === 0x30) return isPkcs8(view, next) ? 'pkcs8' : null
  if (type === 0x04) return version === 1 && isSec1(view, at, next) ? 'sec1' : null
  return type === 0x02 ? formOfIntegers(view, at, next) : null
}

/** RFC 5958 section 2: after the version an AlgorithmIdentifier, then an OCTET STRING. */
function isPkcs8(view: Uint8Array, identifier: number): boolean {
  const end = endOf(view, identifier)
  const algorithm = contentOf(view, identifier)
  return end - algorithm >= 4 && view[algorithm] === 0x06 && (view[end] === 0x04 || view[end] === 0x24)
}

/** RFC 5958 section 3: the identifier of an encryption by password, then an OCTET STRING. */
function isEncryptedPkcs8(view: Uint8Array, identifier: number): boolean {
  const algorithm = contentOf(view, identifier)
  const known =
    hasAt(view, algorithm, pkcs5) ||
    hasAt(view, algorithm, pkcs12Encryption) ||
    (view[algorithm] === 0x06 && hasAt(view, algorithm + 2, javaEncryption))
  if (!known) return false
  const type = view[endOf(view, identifier)]
  return type === 0x04 || type === 0x24 || view[identifier + 1] === 0x80
}

/** RFC 5915 section 3: after version 1 the private value, then nothing, parameters or a public key. */
function isSec1(view: Uint8Array, sequence: number, value: number): boolean {
  const size = view[value + 1] ?? 0
  if (size < 20 || size > 80) return false
  const end = value + 2 + size
  return end === endOf(view, sequence) || view[end] === 0xa0 || view[end] === 0xa1
}

/** RFC 8017 appendix A.1.2, and the like of it that OpenSSL writes for DSA: INTEGERs only, the first a large one. */
function formOfIntegers(view: Uint8Array, sequence: number, first: number): PrivateKeyForm | null {
  const end = endOf(view, sequence)
  if (endOf(view, first) - contentOf(view, first) < 32) return null
  let place = first
  let count = 0
  while (count < 8 && place < view.length && place < end && view[place] === 0x02) {
    place = endOf(view, place)
    count++
  }
  if (count === 5 && place === end) return 'dsa'
  return count >= 5 || (count >= 3 && place >= view.length) ? 'pkcs1' : null
}
