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

/** Whether an end of BEGIN, END or SSH stands before `at`, as far back as a label goes. Cheaper than to read the words. */
function mayBeLabel(view: Uint8Array, at: number): boolean {
  for (let place = at - 1; place > 0 && place >= at - longestLabel; place--) {
    const before = (view[place - 1] ?? 0) | 0x20
    const last = (view[place] ?? 0) | 0x20
    if (before === 0x6e && last === 0x64) return true
    if (before === 0x69 && last === 0x6e) return true
    if (before === 0x73 && last === 0x68) return true
  }
  return false
}

/** Whether "private", in any case, stands around the letter V at `at`. */
export function isPrivateAt(view: Uint8Array, at: number): boolean {
  return isWordAt(view, at - 3, 'private')
}

/** PuTTY's manual, appendix C: every private key file has a line "Private-Lines: " with a number. */
export const isPuttyLine = (view: Uint8Array, at: number): boolean =>
  view[at + 4] === 0x2d &&
  ((view[at + 5] ?? 0) | 0x20) === 0x6c &&
  /^lines: ?[0-9]/i.test(letters(view, at + 5, at + 13))

/**
 * The form that a label or a line of PuTTY names. The label's word "private" stands around the letter V at `at`. RFC
 * 7468 section 2, RFC 9580 section 6.2, RFC 4716. After two dashes and BEGIN or END, case and spacing are free. Without
 * dashes only capitals count, so that a sentence about private keys is not taken for one.
 */
export function labelledFormAt(view: Uint8Array, at: number): PrivateKeyForm | null {
  if (isPuttyLine(view, at)) return 'putty'
  let key = at + 4
  while (key < at + 12 && isSpace(view[key] ?? 0)) key++
  if (!isWordAt(view, key, 'key') || !mayBeLabel(view, at - 3)) return null
  const words = letters(view, at - 3, at + 4) + letters(view, key, key + 3)
  if (words.toUpperCase() !== 'PRIVATEKEY') return null
  const before = letters(view, at - 3 - longestLabel, at - 3)
  if (words === 'PRIVATEKEY' && /(^|[^A-Z])SSH $/.test(before)) return 'ssh1'
  const capitals = before.toUpperCase()
  const begin = capitals.lastIndexOf('BEGIN')
  const start = Math.max(begin, capitals.lastIndexOf('END'))
  if (start < 0) return null
  const label = capitals.slice(start + (start === begin ? 5 : 3))
  if (!/^[A-Z0-9 \t_+.-]*$/.test(label)) return null
  const dashed = before
    .slice(0, start)
    .replaceAll(/[ \t+]/g, '')
    .endsWith('--')
  const shouted = start === begin && words === 'PRIVATEKEY' && before.startsWith('BEGIN', start)
  return dashed || shouted ? formOfLabel(label.split(/[^A-Z0-9]+/)) : null
}

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
