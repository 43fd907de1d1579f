/** No shorter line has the bytes of half a line. No longer one is a line of a dump. */
const fewestCharacters = 24
const mostCharacters = 160

/** A key has more lines than this many. */
const fewestLines = 2

const newline = 0x0a
const digit = (byte: number | undefined): number => {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

interface Line {
  readonly offset: number
  readonly bytes: readonly number[]
}

/**
 * Hands over the bytes of every dump: lines of a place in hexadecimal, then bytes in pairs or fours of digits, then
 * perhaps the same as text. That is how xxd, `hexdump -C` and `od -tx1` write. Returns the number of steps.
 */
export function eachDump(text: Uint8Array, found: (bytes: Uint8Array) => void): number {
  let steps = 0
  let dumped: number[] = []
  let lines = 0
  let next = -1
  const finish = (): void => {
    if (lines >= fewestLines) found(Uint8Array.from(dumped))
    dumped = []
    lines = 0
  }
  for (let start = 0; start < text.length;) {
    const newlineAt = text.indexOf(newline, start)
    const end = newlineAt < 0 ? text.length : newlineAt
    const short = end - start < fewestCharacters
    const line = (short && lines === 0) || end - start > mostCharacters ? null : lineAt(text, start, end)
    steps += 1 + (line === null ? 0 : end - start)
    // The places of od are octal: a line follows another if its place is larger.
    if (line === null || line.offset <= next) finish()
    if (line !== null) {
      if (lines === 0) for (const byte of firstLine(text, start)) dumped.push(byte)
      for (const byte of line.bytes) dumped.push(byte)
      lines++
    }
    next = line?.offset ?? -1
    start = end + 1
  }
  finish()
  return steps
}

/** The bytes of the line before a dump: its first one, if something else stands before it on the same line. */
function firstLine(text: Uint8Array, behind: number): readonly number[] {
  const end = behind - 1
  for (let at = end - fewestCharacters; at >= 0 && at > end - mostCharacters && text[at] !== newline; at--) {
    const begins = digit(text[at]) >= 0 && digit(text[at - 1]) < 0 && text[at - 1] !== 0x20
    const line = begins ? lineAt(text, at, end) : null
    if (line !== null) return line.bytes
  }
  return []
}

/** A line of a dump. Null if it is none. */
function lineAt(text: Uint8Array, start: number, end: number): Line | null {
  let at = start
  while (at < end && text[at] === 0x20) at++
  const first = at
  let offset = 0
  for (; at < end && digit(text[at]) >= 0; at++) offset = offset * 16 + digit(text[at])
  if (at - first < 4 || at - first > 16) return null
  if (text[at] === 0x3a) at++
  if (text[at] !== 0x20) return null
  while (at < end && text[at] === 0x20) at++
  const bytes: number[] = []
  while (at < end) {
    const pairs = pairsAt(text, at)
    if (pairs !== 1 && pairs !== 2) break
    for (let pair = 0; pair < pairs; pair++, at += 2) bytes.push(digit(text[at]) * 16 + digit(text[at + 1]))
    // Two spaces stand in the middle of a line of `hexdump -C`, and before the text of xxd, which writes fours.
    const spaces = text[at] !== 0x20 ? 0 : text[at + 1] !== 0x20 ? 1 : 2
    at += spaces
    if (spaces === 0 || (spaces === 2 && (pairs === 2 || bytes.length !== 8))) break
  }
  return bytes.length === 0 ? null : { offset, bytes }
}

/** How many pairs of digits stand at `at` up to the next space or line end. 0 if other letters do. */
function pairsAt(text: Uint8Array, at: number): number {
  let count = 0
  while (count < 6 && digit(text[at + count]) >= 0) count++
  const after = text[at + count]
  const ends = after === undefined || after === 0x20 || after === newline || after === 0x0d || after === 0x22
  return ends && count % 2 === 0 ? count / 2 : 0
}
