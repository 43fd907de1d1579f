import { inflate } from './inflate.ts'

/** How far something compressed is read: so many times its size and so much more, and no further than this. */
const mostTimes = 4
const moreBytes = 4_096
const mostBytes = 256 * 1_024

/** What was unpacked, how much was inflated for it, and the number of steps. */
export interface Unpacked {
  readonly bytes: Uint8Array
  readonly inflated: number
  readonly steps: number
}

/**
 * What was compressed by gzip (RFC 1952), or as a file in a ZIP archive, at `at`: no more than `most` bytes, four times
 * its size and 4 KiB, or 256 KiB of it. If it is damaged, as far as it can be read. Its size ends where it ends: what
 * follows it does not count.
 */
export function unpackAt(view: Uint8Array, at: number, most: number): Unpacked {
  const header = view[at] === 0x1f ? behindGzipHeader(view, at) : behindZipHeader(view, at)
  const begun = Math.min(header, view.length)
  const packed = view.subarray(begun)
  const { bytes, read, steps } = inflate(packed, Math.min(most, mostTimes * packed.length, mostBytes))
  const size = begun - at + read
  return {
    bytes: bytes.subarray(0, mostTimes * size + moreBytes),
    inflated: bytes.length,
    steps: begun - at + steps,
  }
}

const little = (view: Uint8Array, at: number): number => (view[at] ?? 0) + (view[at + 1] ?? 0) * 256

const flags = { checksum: 2, extra: 4, name: 8, comment: 16 } as const

/** RFC 1952 section 2.3. */
function behindGzipHeader(view: Uint8Array, at: number): number {
  const held = view[at + 3] ?? 0
  let place = at + 10
  if ((held & flags.extra) !== 0) place += 2 + little(view, place)
  for (const text of [flags.name, flags.comment]) {
    if ((held & text) === 0) continue
    const end = view.indexOf(0, place)
    place = end < 0 ? view.length : end + 1
  }
  return (held & flags.checksum) === 0 ? place : place + 2
}

/** PKWARE's APPNOTE.TXT section 4.3.7. */
const behindZipHeader = (view: Uint8Array, at: number): number =>
  at + 30 + little(view, at + 26) + little(view, at + 28)
