/** RFC 1951 section 3.2.5: lengths and distances, and how many more bits they have. */
const lengthBases = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258] // prettier-ignore
const lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const distanceBases = Array.from({ length: 30 }, (_, code) =>
  code < 4 ? code + 1 : 2 ** ((code >> 1) - 1) * (2 + (code & 1)) + 1,
)
const distanceBits = distanceBases.map((_, code) => Math.max(0, (code >> 1) - 1))

/** Section 3.2.7: the order in which the lengths of the codes for lengths come. */
const orderOfLengths = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

const longestCode = 15

/** Something compressed has no more blocks than this, and one more for so many bytes. Otherwise it was made to cost. */
const fewBlocks = 64
const bytesForEachBlock = 128

/** What the codes of one block cost: the lengths of all symbols, and the tables of short codes. */
const stepsForCodes = 1_024

/** The data end, or do not fit the standard. */
class Damaged extends Error {}

/** A Huffman code of section 3.2.2: how many codes have each length, and the symbols in the order of their codes. */
interface Code {
  readonly counts: Uint16Array
  readonly symbols: Uint16Array
  /** By the next bits: a symbol with a short code, and how long that is. 0 for longer codes. */
  readonly short: Uint16Array
}

const longestShortCode = 9

function codeOf(lengths: Uint8Array): Code {
  const counts = new Uint16Array(longestCode + 1)
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol] ?? 0
    counts[length] = (counts[length] ?? 0) + 1
  }
  counts[0] = 0
  const next = new Uint16Array(longestCode + 2)
  for (let length = 1; length <= longestCode; length++) next[length + 1] = (next[length] ?? 0) + (counts[length] ?? 0)
  const symbols = new Uint16Array(lengths.length)
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol] ?? 0
    if (length === 0) continue
    const place = next[length] ?? 0
    symbols[place] = symbol
    next[length] = place + 1
  }
  return { counts, symbols, short: shortCodes(counts, symbols) }
}

function shortCodes(counts: Uint16Array, symbols: Uint16Array): Uint16Array {
  const short = new Uint16Array(1 << longestShortCode)
  for (let length = 1, code = 0, index = 0; length <= longestShortCode; length++, code <<= 1) {
    for (let left = counts[length] ?? 0; left > 0; left--, code++, index++) {
      let first = 0
      for (let bit = 0; bit < length; bit++) first |= ((code >> bit) & 1) << (length - 1 - bit)
      const entry = ((symbols[index] ?? 0) << 4) | length
      for (let bits = first; bits < short.length; bits += 1 << length) short[bits] = entry
    }
  }
  return short
}

/** Section 3.2.6. */
const fixed = {
  literals: codeOf(new Uint8Array(288).fill(8).fill(9, 144, 256).fill(7, 256, 280)),
  distances: codeOf(new Uint8Array(30).fill(5)),
}

/** What was inflated, how many bytes were read for it, and the number of steps. */
export interface Inflated {
  readonly bytes: Uint8Array
  readonly read: number
  readonly steps: number
}

/**
 * What was compressed by DEFLATE (RFC 1951), and no more than `most` bytes of it. If the data are damaged: what stands
 * before the damage. Every bit is looked at once.
 */
export function inflate(packed: Uint8Array, most: number): Inflated {
  const inflating = new Inflating(packed, most)
  try {
    inflating.run()
  } catch (error) {
    if (!(error instanceof Damaged)) throw error
  }
  const { out: bytes, read, codes } = inflating
  return { bytes, read, steps: read + bytes.length + stepsForCodes * codes }
}

class Inflating {
  readonly #packed: Uint8Array
  readonly #out: Uint8Array
  #place = 0
  #bits = 0
  #held = 0
  #length = 0
  /** How many blocks brought codes of their own. */
  codes = 0

  constructor(packed: Uint8Array, most: number) {
    this.#packed = packed
    this.#out = new Uint8Array(most)
  }

  get out(): Uint8Array {
    return this.#out.subarray(0, this.#length)
  }

  get read(): number {
    return Math.min(this.#place, this.#packed.length)
  }

  run(): void {
    for (let block = 0, last = 0; last === 0 && this.#length < this.#out.length; block++) {
      if (block >= fewBlocks + this.#place / bytesForEachBlock) return
      last = this.#take(1)
      const kind = this.#take(2)
      if (kind === 0) this.#stored()
      else if (kind === 1) this.#compressed(fixed.literals, fixed.distances)
      else if (kind === 2) this.#dynamic()
      else throw new Damaged()
    }
  }

  #take(count: number): number {
    while (this.#held < count) {
      if (this.#place >= this.#packed.length) throw new Damaged()
      this.#bits |= (this.#packed[this.#place++] ?? 0) << this.#held
      this.#held += 8
    }
    const value = this.#bits & ((1 << count) - 1)
    this.#bits >>>= count
    this.#held -= count
    return value
  }

  #symbol({ counts, symbols, short }: Code): number {
    while (this.#held < longestShortCode && this.#place < this.#packed.length) {
      this.#bits |= (this.#packed[this.#place++] ?? 0) << this.#held
      this.#held += 8
    }
    const entry = short[this.#bits & (short.length - 1)] ?? 0
    if (entry !== 0 && (entry & 15) <= this.#held) {
      this.#bits >>>= entry & 15
      this.#held -= entry & 15
      return entry >> 4
    }
    let code = 0
    let first = 0
    let index = 0
    for (let length = 1; length <= longestCode; length++) {
      code |= this.#take(1)
      const count = counts[length] ?? 0
      if (code - count < first) return symbols[index + code - first] ?? 0
      index += count
      first = (first + count) << 1
      code <<= 1
    }
    throw new Damaged()
  }

  #stored(): void {
    // Whole bytes that were taken already are given back.
    this.#place -= this.#held >> 3
    this.#bits = 0
    this.#held = 0
    const at = this.#place + 4
    const size = (this.#packed[at - 4] ?? 0) + (this.#packed[at - 3] ?? 0) * 256
    const bytes = this.#packed.subarray(at, at + Math.min(size, this.#out.length - this.#length))
    this.#out.set(bytes, this.#length)
    this.#length += bytes.length
    this.#place = at + size
  }

  #dynamic(): void {
    this.codes++
    const literals = this.#take(5) + 257
    const distances = this.#take(5) + 1
    const count = this.#take(4) + 4
    const first = new Uint8Array(orderOfLengths.length)
    for (let index = 0; index < count; index++) first[orderOfLengths[index] ?? 0] = this.#take(3)
    const code = codeOf(first)
    const all = literals + distances
    const lengths = new Uint8Array(all)
    for (let at = 0; at < all;) {
      const symbol = this.#symbol(code)
      if (symbol < 16) lengths[at++] = symbol
      else {
        const length = symbol === 16 ? (lengths[at - 1] ?? 0) : 0
        const times = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7)
        lengths.fill(length, at, at + times)
        at += times
      }
    }
    this.#compressed(codeOf(lengths.subarray(0, literals)), codeOf(lengths.subarray(literals)))
  }

  #compressed(literals: Code, distances: Code): void {
    const out = this.#out
    while (this.#length < out.length) {
      const symbol = this.#symbol(literals)
      if (symbol === 256) return
      if (symbol < 256) {
        out[this.#length++] = symbol
        continue
      }
      const length = (lengthBases[symbol - 257] ?? 0) + this.#take(lengthBits[symbol - 257] ?? 0)
      const code = this.#symbol(distances)
      const distance = (distanceBases[code] ?? 0) + this.#take(distanceBits[code] ?? 0)
      if (distance > this.#length) throw new Damaged()
      const end = Math.min(out.length, this.#length + length)
      for (; this.#length < end; this.#length++) out[this.#length] = out[this.#length - distance] ?? 0
    }
  }
}
