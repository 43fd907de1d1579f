import { beginningsIn } from './forms/binary.ts'

/** What a character means in a search for base64: its six bits, or one of these. */
const sextetKind = { space: 64, other: 65 } as const

/** The six bits of each character of RFC 4648 sections 4 and 5, or one of `sextetKind`. */
const sextets = new Uint8Array(256).fill(sextetKind.other)
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
for (let value = 0; value < 64; value++) sextets[alphabet.charCodeAt(value)] = value
sextets['-'.charCodeAt(0)] = 62
sextets['_'.charCodeAt(0)] = 63
for (const space of ' \t\r\n') sextets[space.charCodeAt(0)] = sextetKind.space

/** The shortest private value is a seed of 32 bytes, which has this many characters. */
const fewestSextets = 43

/** The shortest private key to find is a bare EC key of 32 bytes, which has 52 characters. */
export const fewestSextetsOfKey = 48

export interface Base64Run {
  readonly start: number
  readonly end: number
  /** Without white space. */
  readonly count: number
}

/** Hands over every long run of base64. White space may interrupt it, three dashes end it. Returns the steps. */
export function eachBase64Run(text: Uint8Array, found: (run: Base64Run) => void): number {
  let start = 0
  let count = 0
  for (let at = 0; at < text.length; at++) {
    const byte = text[at] ?? 0
    const kind = sextets[byte] ?? sextetKind.other
    if (kind < 64 && (byte !== 0x2d || text[at + 1] !== 0x2d || text[at + 2] !== 0x2d)) count++
    else if (kind !== sextetKind.space) {
      if (count >= fewestSextets) found({ start, end: at, count })
      if (byte === 0x2d) while (text[at + 1] === 0x2d) at++
      start = at + 1
      count = 0
    }
  }
  if (count >= fewestSextets) found({ start, end: text.length, count })
  return text.length
}

/** All bits of a run, from the first character on. Bits that do not fill the last byte are followed by zeros. */
function bitsOf(text: Uint8Array, { start, end, count }: Base64Run): Uint8Array {
  const out = new Uint8Array(Math.ceil((count * 3) / 4))
  let length = 0
  let bits = 0
  let held = 0
  for (let at = start; at < end; at++) {
    const value = sextets[text[at] ?? 0] ?? sextetKind.other
    if (value > 63) continue
    bits = ((bits << 6) | value) & 0xff_ffff
    held += 6
    if (held < 24) continue
    out[length] = bits >> 16
    out[length + 1] = bits >> 8
    out[length + 2] = bits
    length += 3
    held = 0
  }
  for (bits <<= 24 - held; held > 0; held -= 8, bits <<= 8) out[length++] = bits >> 16
  return out
}

/** The reading without the first `skipped` bits. */
function withoutBits(bits: Uint8Array, skipped: number): Uint8Array {
  const out = new Uint8Array(bits.length)
  for (let at = 0; at < bits.length; at++)
    out[at] = ((bits[at] ?? 0) << skipped) | ((bits[at + 1] ?? 0) >> (8 - skipped))
  return out
}

/** Bytes of text, in one byte or more for each character. */
const inText = new Uint8Array(256).fill(1, 0x20, 0x7f)
for (const byte of [0, 9, 10, 13]) inText[byte] = 1

/** Fewer letters say nothing. Between two looks there are as many. */
const fewestLetters = 12

/** Whether text stands anywhere in the reading without the first `skipped` bits. */
function holdsText(bits: Uint8Array, skipped: number): boolean {
  for (let at = 0; at + fewestLetters < bits.length; at += fewestLetters) {
    let place = at
    const end = at + fewestLetters
    while (
      place < end &&
      inText[((((bits[place] ?? 0) << 8) | (bits[place + 1] ?? 0)) >> (8 - skipped)) & 0xff] === 1
    ) {
      place++
    }
    if (place === end) return true
  }
  return false
}

/**
 * Hands over the bytes of a run in each of the four readings that may hold anything: a group of four may begin at any
 * of its first characters, because a run may begin with other words or a prefix. Returns the steps.
 */
export function eachReading(text: Uint8Array, run: Base64Run, found: (bytes: Uint8Array) => void): number {
  const bits = bitsOf(text, run)
  const binary = beginningsIn(bits)
  for (const [place, skipped] of [0, 2, 4, 6].entries()) {
    if ((binary & (1 << place)) === 0 && !holdsText(bits, skipped)) continue
    if (skipped === 0) found(bits.subarray(0, (run.count * 3) >> 2))
    else found(withoutBits(bits, skipped))
  }
  return run.end - run.start + 5 * bits.length
}
