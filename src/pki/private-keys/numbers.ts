/** The shortest private key to find is a bare EC key of 32 bytes, which has 39 bytes. */
const fewestBytes = 39

/** 1: a digit. 2: what stands between numbers. 3: a sign. */
const kinds = new Uint8Array(256)
for (const digit of '0123456789') kinds[digit.charCodeAt(0)] = 1
for (const between of ' \t\r\n,:"') kinds[between.charCodeAt(0)] = 2
kinds['-'.charCodeAt(0)] = 3

const isOne = (text: Uint8Array, at: number): boolean => kinds[text[at] ?? 0] !== 0

/**
 * Hands over the bytes of every long list of numbers: `48, 130, 4`, `48, -126, 4` and `"0": 48, "1": 130`. Returns the
 * number of steps.
 */
export function eachListOfBytes(text: Uint8Array, found: (bytes: Uint8Array) => void): number {
  const stride = 2 * fewestBytes - 1
  let steps = Math.ceil(text.length / stride)
  let behind = 0
  // A long list covers at least one of these places.
  for (let at = stride - 1; at < text.length; at += stride) {
    if (at < behind || !isOne(text, at)) continue
    let start = at
    while (start > behind && isOne(text, start - 1)) start--
    let end = at + 1
    while (end < text.length && isOne(text, end)) end++
    behind = end
    steps += 2 * (end - start)
    const bytes = end - start <= stride ? null : bytesOf(text, start, end)
    if (bytes !== null) found(bytes)
  }
  return steps
}

/** Numbers before a colon are places, and left out. Null if there are too few numbers, or one is no byte. */
function bytesOf(text: Uint8Array, start: number, end: number): Uint8Array | null {
  const out = new Uint8Array((end - start + 1) >> 1)
  let length = 0
  let value = -1
  let sign = 1
  for (let at = start; at <= end; at++) {
    const byte = at < end ? (text[at] ?? 0) : 0x2c
    if (kinds[byte] === 1) value = (value < 0 ? 0 : value * 10) + byte - 0x30
    else if (byte === 0x2d) sign = -1
    else if (byte === 0x3a) {
      value = -1
      sign = 1
    } else if (byte === 0x2c && value >= 0) {
      if (value > (sign < 0 ? 128 : 255)) return null
      out[length++] = sign * value
      value = -1
      sign = 1
    }
  }
  return length < fewestBytes ? null : out.subarray(0, length)
}
