import type { PrivateKeyForm } from '../form.ts'

/** No label in use is longer. A look back goes this far. */
const longestLabel = 64

const letters = (view: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...view.subarray(Math.max(0, start), Math.max(0, end)))

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === 0x5f || byte === 0x2b

/** Whether a word of small letters stands at `at` in any case. */
function isWordAt(view: Uint8Array, at: number, word: string): boolean {
  for (let index = 0; index < word.length; index++) {
    if (((view[at + index] ?? 0) | 0x20) !== word.charCodeAt(index)) return false
  }
  return true
}

/** Whether these very letters stand at `at`. */
function isExactly(view: Uint8Array, at: number, word: string): boolean {
  for (let index = 0; index < word.length; index++) if (view[at + index] !== word.charCodeAt(index)) return false
  return true
}

/** What a label has between BEGIN or END and "private". */
const inLabel = new Uint8Array(256)
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 \t_+.-')
  inLabel[letter.charCodeAt(0)] = 1

/**
 * Where BEGIN or END, in any case, stands last before `end`, with nothing but letters of a label between. -1 if not,
 * or only before `floor`.
 */
function beginOfLabel(view: Uint8Array, end: number, floor: number): number {
  const first = Math.max(floor, end - longestLabel)
  for (let at = end - 1; at >= first; at--) {
    const byte = view[at] ?? 0
    if (inLabel[byte] === 0) return -1
    const letter = byte | 0x20
    if (letter === 0x65 && at + 3 <= end && isWordAt(view, at, 'end')) return at
    if (letter === 0x62 && at + 5 <= end && isWordAt(view, at, 'begin')) return at
  }
  return -1
}

/** Whether two dashes stand before `at`. Spaces and plus signs between do not count. */
function isDashed(view: Uint8Array, at: number): boolean {
  let dashes = 0
  for (let place = at - 1; place >= 0 && place >= at - longestLabel && dashes < 2; place--) {
    const byte = view[place]
    if (byte === 0x2d) dashes++
    else if (byte !== 0x20 && byte !== 0x09 && byte !== 0x2b) return false
  }
  return dashes === 2
}

/** Whether "private", in any case, stands around the letter V at `at`. */
export function isPrivateAt(view: Uint8Array, at: number): boolean {
  return isWordAt(view, at - 3, 'private')
}

/** PuTTY's manual, appendix C: every private key file has a line "Private-Lines: " with a number. */
export function isPuttyLine(view: Uint8Array, at: number): boolean {
  if (view[at + 4] !== 0x2d || !isWordAt(view, at + 5, 'lines') || view[at + 10] !== 0x3a) return false
  const digit = view[at + 11] === 0x20 ? view[at + 12] : view[at + 11]
  return digit !== undefined && digit >= 0x30 && digit <= 0x39
}

/**
 * The form that a label or a line of PuTTY names. The label's word "private" stands around the letter V at `at`. RFC
 * 7468 section 2, RFC 9580 section 6.2, RFC 4716. After two dashes and BEGIN or END, case and spacing are free. Without
 * dashes only capitals count, so that a sentence about private keys is not taken for one. A label does not begin before
 * `floor`.
 */
export function labelledFormAt(view: Uint8Array, at: number, floor = 0): PrivateKeyForm | null {
  if (isPuttyLine(view, at)) return 'putty'
  let key = at + 4
  while (key < at + 12 && isSpace(view[key] ?? 0)) key++
  if (!isWordAt(view, key, 'key')) return null
  const word = at - 3
  const loud = isExactly(view, word, 'PRIVATE') && isExactly(view, key, 'KEY')
  if (loud && isExactly(view, word - 4, 'SSH ') && !isCapital(view[word - 5])) return 'ssh1'
  const start = beginOfLabel(view, word, floor)
  if (start < 0) return null
  const begin = isWordAt(view, start, 'begin')
  const shouted = loud && begin && isExactly(view, start, 'BEGIN')
  if (!shouted && !isDashed(view, start)) return null
  return formOfLabel(
    letters(view, start + (begin ? 5 : 3), word)
      .toUpperCase()
      .split(/[^A-Z0-9]+/),
  )
}

const isCapital = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x41 && byte <= 0x5a

function formOfLabel(words: readonly string[]): PrivateKeyForm {
  if (words.includes('SSH2')) return 'ssh2'
  if (words.includes('PGP')) return 'pgp'
  if (words.includes('OPENSSH')) return 'openssh'
  if (words.includes('ENCRYPTED')) return 'encrypted-pkcs8'
  if (words.includes('RSA')) return 'pkcs1'
  if (words.includes('EC')) return 'sec1'
  if (words.includes('DSA')) return 'dsa'
  return words.every((word) => word === '') ? 'pkcs8' : 'other-pem'
}
