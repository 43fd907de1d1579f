import type { Report } from '../form.ts'

/**
 * Forms that are values with names: .NET's XML, the files of BIND, what OpenSSL prints, and JSON Web Keys that do not
 * say their type. Only what stands before and behind a long run of base64 or hexadecimal is read.
 */

/** How far around a value its key is read. */
const before = 4_096
const behind = 16_384

const quote = 0x22
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

const endsWith = (text: Uint8Array, end: number, word: string): boolean => {
  if (end < word.length) return false
  for (let index = 0; index < word.length; index++) {
    if (text[end - word.length + index] !== word.charCodeAt(index)) return false
  }
  return true
}

const around = (text: Uint8Array, start: number): Uint8Array =>
  text.subarray(Math.max(0, start - before), start + behind)

/** The values with names of one text. Its runs of base64 come in the order in which they stand. */
export class NamedValues {
  /** What was read beyond the runs themselves. */
  steps = 0
  readonly #text: Uint8Array
  readonly #report: Report
  /** Where the first `<Modulus>` begins that no run has left behind. The end of the text if there is none. */
  #modulus = -1

  constructor(text: Uint8Array, report: Report) {
    this.#text = text
    this.#report = report
  }

  /** Reports the key that a run of base64 from `start` to `end` belongs to, by its name. */
  takeBase64(start: number, end: number): void {
    const text = this.#text
    const mark = text[start - 1]
    if (mark === quote && isUntypedJwk(text, start, end)) this.#report('jwk', this.#objectAround(start, end))
    else if (mark === 0x3e && isNetXml(text, start, end) && this.#hasModulusNear(start))
      this.#report('rsa-xml', around(text, start))
    else if (mark === 0x3a && isBind(text, start, end)) this.#report('bind', around(text, start))
  }

  /**
   * Reports the key that a run of hexadecimal from `start` belongs to, if it stands as `openssl pkey -text` prints it.
   * The name may end in letters of the run.
   */
  takeHex(start: number): void {
    if (isOpensslText(this.#text, start)) this.#report('openssl-text', around(this.#text, start))
  }

  /** The JSON object of strings around a value. */
  #objectAround(start: number, end: number): Uint8Array {
    const text = this.#text
    const open = Math.max(0, text.subarray(0, start).lastIndexOf(0x7b))
    const close = text.indexOf(0x7d, end)
    const behindObject = close < 0 ? text.length : close + 1
    this.steps += behindObject - open
    return text.subarray(open, behindObject)
  }

  /** Whether `<Modulus>` stands around a value. No place of the text is searched twice. */
  #hasModulusNear(start: number): boolean {
    const first = Math.max(0, start - before)
    if (this.#modulus < first) {
      const from = Math.max(first, this.#modulus + 1)
      this.#modulus = placeOf(this.#text, modulus, from)
      this.steps += this.#modulus - from
    }
    return this.#modulus + modulus.length <= Math.min(this.#text.length, start + behind)
  }
}

const modulus = Uint8Array.from('<Modulus>', (letter) => letter.charCodeAt(0))

/** Where a word stands first from `from` on. The end of the text if nowhere. */
function placeOf(text: Uint8Array, word: Uint8Array, from: number): number {
  for (let at = from; at < text.length; at++) {
    let same = 0
    while (same < word.length && text[at + same] === word[same]) same++
    if (same === word.length) return at
  }
  return text.length
}

/** RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2: the characters of `d` of 32, 48, 56, 57 or 66 bytes. */
const sizesOfD = new Set([43, 64, 75, 76, 88])
/** An RSA key of 1,024 bits. */
const fewestOfRsa = 171

function isUntypedJwk(text: Uint8Array, start: number, end: number): boolean {
  const size = end - start
  if (text[end] !== quote || (!sizesOfD.has(size) && size < fewestOfRsa)) return false
  let at = start - 1
  while (isSpace(text[at - 1])) at--
  if (text[--at] !== 0x3a) return false
  while (isSpace(text[at - 1])) at--
  return endsWith(text, at, '"d"')
}

const privateElements = ['<D', '<P', '<Q', '<DP', '<DQ', '<InverseQ']

/** `RSA.ToXmlString` of .NET: a private number. `Modulus` stands beside it. */
function isNetXml(text: Uint8Array, start: number, end: number): boolean {
  if (text[end] !== 0x3c && text[end] !== 0x3d) return false
  return privateElements.some((name) => endsWith(text, start - 1, name))
}

const bindNames = ['PrivateKey', 'PrivateExponent', 'Prime1', 'Prime2', 'Exponent1', 'Exponent2', 'Coefficient']

/** The files that BIND's dnssec-keygen names `.private`: the value is all there is on its line. */
function isBind(text: Uint8Array, start: number, end: number): boolean {
  if (!bindNames.some((name) => endsWith(text, start - 1, name))) return false
  let at = start
  while (at < end && text[at] === 0x20) at++
  let last = at
  while (last < end && !isSpace(text[last])) last++
  return last - at >= 43
}

const opensslNames = ['priv', 'privateExponent', 'prime1', 'prime2', 'exponent1', 'exponent2', 'coefficient']

function isOpensslText(text: Uint8Array, start: number): boolean {
  let colon = start
  while (colon < start + 3 && text[colon] !== 0x3a) colon++
  if (text[colon] !== 0x3a || !isSpace(text[colon + 1])) return false
  return opensslNames.some((name) => endsWith(text, colon, name))
}
