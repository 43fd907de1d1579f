/** Which bytes occur in a view, as one bit each. They tell which searches can find anything. */
export const holds = { control: 1, nul: 2, high: 4, backslash: 8, percent: 16, manyControls: 32 } as const

const occurrence = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) occurrence[byte] = holds.control
  if (byte >= 0x7f) occurrence[byte] = holds.high
}
occurrence[0] = holds.nul
occurrence[0x5c] = holds.backslash
occurrence[0x25] = holds.percent

/** Which of `holds` occur. Control characters are many if damaged text would not have so many. */
export function survey(view: Uint8Array): number {
  let found = 0
  let controls = 0
  for (let at = 0; at < view.length; at++) {
    const kind = occurrence[view[at] ?? 0] ?? 0
    found |= kind
    controls += kind & holds.control
  }
  return controls * 32 > view.length ? found | holds.manyControls : found
}

/** Removes zero bytes: ASCII in UTF-16 or UTF-32 of either byte order becomes ASCII. */
export function withoutNuls(view: Uint8Array): Uint8Array {
  const out = new Uint8Array(view.length)
  let length = 0
  for (let at = 0; at < view.length; at++) {
    const byte = view[at] ?? 0
    if (byte !== 0) out[length++] = byte
  }
  return out.subarray(0, length)
}

/** Turns characters up to U+00FF in UTF-8 back into single bytes. That undoes reading bytes as Latin-1. */
export function withoutUtf8(view: Uint8Array): Uint8Array {
  const out = new Uint8Array(view.length)
  let length = 0
  for (let at = 0; at < view.length; at++) {
    const byte = view[at] ?? 0
    const next = (byte === 0xc2 || byte === 0xc3) && at + 1 < view.length ? (view[at + 1] ?? 0) : 0
    if (next >= 0x80 && next < 0xc0) {
      out[length++] = byte === 0xc2 ? next : next + 0x40
      at++
    } else out[length++] = byte
  }
  return out.subarray(0, length)
}

const notADigit = 255
const digit = new Uint8Array(256).fill(notADigit)
for (let value = 0; value < 16; value++) {
  digit[value.toString(16).charCodeAt(0)] = value
  digit[value.toString(16).toUpperCase().charCodeAt(0)] = value
}
const digitAt = (view: Uint8Array, at: number): number => digit[view[at] ?? 0] ?? notADigit

/** The byte of the two hexadecimal digits at `at`. -1 if they are not there. */
function hexByteAt(view: Uint8Array, at: number): number {
  const high = digitAt(view, at)
  const low = digitAt(view, at + 1)
  return high === notADigit || low === notADigit ? -1 : high * 16 + low
}

const simpleEscapes = new Uint8Array(256)
for (const [letter, byte] of Object.entries({ '"': 0x22, '\\': 0x5c, '/': 0x2f, b: 8, f: 12, n: 10, r: 13, t: 9 })) {
  simpleEscapes[letter.charCodeAt(0)] = byte
}

/** Resolves the escapes of JSON (RFC 8259 section 7) and `\xHH` everywhere. Others stay as they are. */
export function withoutEscapes(view: Uint8Array): Uint8Array {
  const out = new Uint8Array(view.length)
  let length = 0
  for (let at = 0; at < view.length; at++) {
    const byte = view[at] ?? 0
    out[length++] = byte
    if (byte !== 0x5c || at + 1 === view.length) continue
    const letter = view[at + 1] ?? 0
    const simple = simpleEscapes[letter] ?? 0
    if (simple !== 0) {
      out[length - 1] = simple
      at++
    } else if (letter === 0x78 && hexByteAt(view, at + 2) >= 0) {
      out[length - 1] = hexByteAt(view, at + 2)
      at += 3
    } else if (letter === 0x75 && hexByteAt(view, at + 2) >= 0 && hexByteAt(view, at + 4) >= 0) {
      // Other characters become a question mark. No form has either.
      out[length - 1] = hexByteAt(view, at + 2) === 0 ? hexByteAt(view, at + 4) : 0x3f
      at += 5
    }
  }
  return out.subarray(0, length)
}

/** Percent-encoded bytes (RFC 3986 section 2.1) resolved. */
export function withoutPercents(view: Uint8Array): Uint8Array {
  const out = new Uint8Array(view.length)
  let length = 0
  for (let at = 0; at < view.length; at++) {
    const byte = view[at] ?? 0
    const named = byte === 0x25 ? hexByteAt(view, at + 1) : -1
    out[length++] = named < 0 ? byte : named
    if (named >= 0) at += 2
  }
  return out.subarray(0, length)
}

/** The shortest private key to find is a bare EC key of 32 bytes, which has 39 bytes. */
const fewestHexDigits = 78

/** A private value with its name is a seed of 32 bytes, and its digits are separated. */
const fewestNamedHexDigits = 64

const separates = new Uint8Array(256)
for (const separator of ' \t\r\n:-,;.xX') separates[separator.charCodeAt(0)] = 1

/** The zero of a prefix 0x is not a digit of a run. */
const isPrefix = (view: Uint8Array, at: number): boolean =>
  view[at] === 0x30 && at + 1 < view.length && ((view[at + 1] ?? 0) | 0x20) === 0x78

const hexRun = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) if (separates[byte] === 1 || digit[byte] !== notADigit) hexRun[byte] = 1

const inHexRun = (view: Uint8Array, at: number): boolean => hexRun[view[at] ?? 0] === 1

/**
 * Hands over the bytes of every long run of hexadecimal digits, with or without separators. `begun` gets the places
 * where runs begin that may be values with names. Returns the number of steps.
 */
export function eachHexRun(
  view: Uint8Array,
  found: (bytes: Uint8Array) => void,
  begun: (start: number) => void,
): number {
  let steps = 0
  let behind = 0
  // A long run covers at least one of these places.
  for (let at = fewestHexDigits - 1; at < view.length; at += fewestHexDigits) {
    if (at < behind || !inHexRun(view, at)) continue
    let start = at
    while (start > behind && inHexRun(view, start - 1)) start--
    let end = at + 1
    while (end < view.length && inHexRun(view, end)) end++
    behind = end
    steps += 2 * (end - start)
    const { phases, count } = hexPhases(view, start, end)
    if (count >= fewestNamedHexDigits) begun(start)
    if (count < fewestHexDigits) continue
    for (const phase of [0, 1]) if ((phases & (1 << phase)) !== 0) found(hexBetween(view, start, end, phase))
  }
  return steps + Math.ceil(view.length / fewestHexDigits)
}

/**
 * How many digits there are, and whether groups of them begin at an even place (1), at an odd place (2), or both (3).
 * Among the digits of a key are letters: groups at both without any are numbers.
 */
function hexPhases(view: Uint8Array, start: number, end: number): { phases: number; count: number } {
  let phases = 0
  let count = 0
  let fresh = true
  let letters = false
  for (let at = start; at < end; at++) {
    const value = digit[view[at] ?? 0] ?? notADigit
    const digits = value !== notADigit && (value !== 0 || !isPrefix(view, at))
    if (digits) {
      if (fresh) phases |= 1 << (count & 1)
      letters ||= value > 9
      count++
    }
    fresh = !digits
  }
  return { phases: letters || phases !== 3 ? phases : 0, count }
}

function hexBetween(view: Uint8Array, start: number, end: number, skipped: number): Uint8Array {
  const out = new Uint8Array((end - start + 1) >> 1)
  let length = 0
  let high = -1
  let left = skipped
  for (let at = start; at < end; at++) {
    const value = digit[view[at] ?? 0] ?? notADigit
    if (value === notADigit || (value === 0 && isPrefix(view, at))) continue
    if (left > 0) left--
    else if (high < 0) high = value
    else {
      out[length++] = high * 16 + value
      high = -1
    }
  }
  return out.subarray(0, length)
}

/** Whether a run has only hexadecimal digits and white space. In base64 of a key other letters occur. */
export function isAllHex(view: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = view[at] ?? 0
    if ((digit[byte] ?? notADigit) === notADigit && byte > 0x20) return false
  }
  return true
}
