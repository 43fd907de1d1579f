/** No shorter line has the bytes of half a line. No longer one is a line of a dump. */
const fewestCharacters = 24
const mostCharacters = 160

/** A key has more lines than this many. */
const fewestLines = 2

const newline = 0x0a
const space = 0x20

const notADigit = 16
const digits = new Uint8Array(256).fill(notADigit)
for (const [value, digit] of Array.from('0123456789abcdef').entries()) {
  digits[digit.charCodeAt(0)] = value
  digits[digit.toUpperCase().charCodeAt(0)] = value
}

/**
 * Hands over the bytes of every dump: lines of a place in hexadecimal, then bytes in pairs or fours of digits, then
 * perhaps the same as text. That is how xxd, `hexdump -C` and `od -tx1` write. Returns the number of steps.
 */
export function eachDump(text: Uint8Array, found: (bytes: Uint8Array) => void): number {
  let steps = 0
  const dump = new Dump(text)
  for (let start = 0; start < text.length;) {
    const newlineAt = text.indexOf(newline, start)
    const end = newlineAt < 0 ? text.length : newlineAt
    const may = (dump.lines > 0 || end - start >= fewestCharacters) && end - start <= mostCharacters
    steps += may ? 2 + end - start : 2
    if (!may || !dump.takeLine(start, end)) {
      dump.finish(found)
      // The line that does not follow may be the first of another.
      if (may) dump.takeLine(start, end)
    }
    start = end + 1
  }
  dump.finish(found)
  return steps + dump.steps
}

/** The bytes of the lines that follow each other. */
class Dump {
  lines = 0
  /** What was read to see whether lines belong to a dump. */
  steps = 0
  readonly #text: Uint8Array
  #out = new Uint8Array()
  #length = 0
  /** The place that the last line names. */
  #place = -1

  constructor(text: Uint8Array) {
    this.#text = text
  }

  finish(found: (bytes: Uint8Array) => void): void {
    if (this.lines >= fewestLines) found(this.#out.slice(0, this.#length))
    this.lines = 0
    this.#length = 0
    this.#place = -1
  }

  /** Adds the line between two places. False if it is none of a dump, or does not follow the last one. */
  takeLine(start: number, end: number): boolean {
    let at = start
    while (at < end && this.#text[at] === space) at++
    const first = at
    let place = 0
    for (; at < end && this.#digit(at) < notADigit; at++) place = place * 16 + this.#digit(at)
    this.steps += at - start + 1
    // The places of od are octal: a line follows another if its place is larger.
    if (at - first < 4 || at - first > 16 || at >= end || place <= this.#place) return false
    if (this.#text[at] === 0x3a) at++
    const begun = at
    while (at < end && this.#text[at] === space) at++
    if (at === begun || this.#pairsAt(at, end) === 0) return false
    if (this.#out.length === 0) this.#out = new Uint8Array(this.#text.length >> 1)
    if (this.lines === 0) this.#takeFirstLine(start)
    this.#takeBytes(at, end)
    this.#place = place
    this.lines++
    return true
  }

  /** Adds the line before, if it is the first of the dump and something else stands before it. */
  #takeFirstLine(behind: number): void {
    const end = behind - 1
    for (let at = end - fewestCharacters; at > 0 && at > end - mostCharacters; at--) {
      const before = this.#text[at - 1]
      if (this.#text[at] === newline) return
      if (this.#digit(at) === notADigit || this.#digit(at - 1) < notADigit || before === space) continue
      this.lines++
      const taken = this.takeLine(at, end)
      this.lines--
      if (taken) return
    }
  }

  #takeBytes(start: number, end: number): void {
    const from = this.#length
    for (let at = start; at < end;) {
      const pairs = this.#pairsAt(at, end)
      if (pairs === 0) return
      for (const last = at + 2 * pairs; at < last; at += 2) {
        this.#out[this.#length++] = this.#digit(at) * 16 + this.#digit(at + 1)
      }
      // Two spaces stand in the middle of a line of `hexdump -C`, and before the text of xxd, which writes fours.
      const two = at + 1 < end && this.#text[at + 1] === space
      if (two && (pairs === 2 || this.#length - from !== 8)) return
      at += two ? 2 : 1
    }
  }

  /** How many pairs of digits stand at `at` up to the next space or the end: one or two. 0 if something else does. */
  #pairsAt(at: number, end: number): number {
    let count = 0
    while (count < 5 && at + count < end && this.#digit(at + count) < notADigit) count++
    if (count !== 2 && count !== 4) return 0
    const behind = at + count < end ? this.#text[at + count] : space
    return behind === space || behind === 0x0d || behind === 0x22 ? count / 2 : 0
  }

  #digit(at: number): number {
    return digits[this.#text[at] ?? 0] ?? notADigit
  }
}
