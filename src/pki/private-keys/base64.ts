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

const dash = 0x2d

/** Whether the dash at `at` is one of three or more. */
function isInLine(text: Uint8Array, at: number): boolean {
  const before = at < 1 || text[at - 1] !== dash ? 0 : at < 2 || text[at - 2] !== dash ? 1 : 2
  if (before === 2) return true
  const behind =
    at + 1 >= text.length || text[at + 1] !== dash ? 0 : at + 2 >= text.length || text[at + 2] !== dash ? 1 : 2
  return before + behind > 1
}

const inRun = (text: Uint8Array, at: number): boolean => {
  const byte = text[at] ?? 0
  return (sextets[byte] ?? sextetKind.other) < sextetKind.other && (byte !== dash || !isInLine(text, at))
}

/** Hands over every long run of base64. White space may interrupt it, three dashes end it. Returns the steps. */
export function eachBase64Run(text: Uint8Array, found: (run: Base64Run) => void): number {
  let steps = Math.ceil(text.length / fewestSextets)
  let behind = 0
  // A long run covers at least one of these places.
  for (let at = fewestSextets - 1; at < text.length; at += fewestSextets) {
    if (at < behind || !inRun(text, at)) continue
    let start = at
    while (start > behind && inRun(text, start - 1)) start--
    let end = at + 1
    while (end < text.length && inRun(text, end)) end++
    behind = end
    steps += 2 * (end - start)
    if (end - start < fewestSextets) continue
    const count = countOf(text, start, end)
    if (count >= fewestSextets) found({ start, end, count })
  }
  return steps
}

function countOf(text: Uint8Array, start: number, end: number): number {
  let spaces = 0
  for (let at = start; at < end; at++) if ((text[at] ?? 0) <= 0x20) spaces++
  return end - start - spaces
}

/** Decodes groups of four characters without white space between, as many as follow each other, and returns how many. */
function decodeGroups(text: Uint8Array, start: number, out: Uint8Array, length: number): number {
  let place = length
  let at = start
  for (; at + 3 < text.length; at += 4) {
    const first = sextets[text[at] ?? 0] ?? 0
    const second = sextets[text[at + 1] ?? 0] ?? 0
    const third = sextets[text[at + 2] ?? 0] ?? 0
    const fourth = sextets[text[at + 3] ?? 0] ?? 0
    if ((first | second | third | fourth) > 63) break
    out[place] = (first << 2) | (second >> 4)
    out[place + 1] = (second << 4) | (third >> 2)
    out[place + 2] = (third << 6) | fourth
    place += 3
  }
  return (at - start) / 4
}

/** All bits of a run, from the first character on. Bits that do not fill the last byte are followed by zeros. */
function bitsOf(text: Uint8Array, { start, end, count }: Base64Run): Uint8Array {
  const out = new Uint8Array(Math.ceil((count * 3) / 4))
  let length = 0
  let bits = 0
  let held = 0
  const run = text.subarray(0, end)
  let at = start
  while (at < end) {
    // Nearly everywhere four characters follow each other.
    if (held === 0) {
      const groups = decodeGroups(run, at, out, length)
      at += 4 * groups
      length += 3 * groups
    }
    if (at >= end) break
    const value = sextets[text[at++] ?? 0] ?? sextetKind.other
    if (value > 63) continue
    bits = (bits << 6) | value
    held += 6
    if (held < 24) continue
    out[length] = bits >> 16
    out[length + 1] = bits >> 8
    out[length + 2] = bits
    length += 3
    held = 0
    bits = 0
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
  const shift = 8 - skipped
  const last = bits.length - 1 - fewestLetters
  for (let at = 0; at < last; at += fewestLetters) {
    let place = at
    const end = at + fewestLetters
    while (place < end && inText[((((bits[place] ?? 0) << 8) | (bits[place + 1] ?? 0)) >> shift) & 0xff] === 1) place++
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
