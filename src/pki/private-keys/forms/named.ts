import type { PrivateKeyForm, Report } from '../form.ts'

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

const letters = (text: Uint8Array, start: number, end: number): string => {
  let out = ''
  for (let at = start; at < end; at++) out += String.fromCharCode(text[at] ?? 0)
  return out
}

const around = (text: Uint8Array, start: number): Uint8Array =>
  text.subarray(Math.max(0, start - before), start + behind)

/** Reports the key that a run of base64 from `start` to `end` belongs to, by its name. */
export function reportNamedBase64(text: Uint8Array, start: number, end: number, report: Report): void {
  const form = formOfBase64(text, start, end)
  if (form === 'jwk') report(form, objectAround(text, start, end))
  else if (form !== null) report(form, around(text, start))
}

function formOfBase64(text: Uint8Array, start: number, end: number): PrivateKeyForm | null {
  const mark = text[start - 1]
  if (mark === quote) return isUntypedJwk(text, start, end) ? 'jwk' : null
  if (mark === 0x3e) return isNetXml(text, start, end) ? 'rsa-xml' : null
  return mark === 0x3a && isBind(text, start, end) ? 'bind' : null
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

/** The JSON object of strings around a value. */
function objectAround(text: Uint8Array, start: number, end: number): Uint8Array {
  const open = text.subarray(0, start).lastIndexOf(0x7b)
  const close = text.indexOf(0x7d, end)
  return text.subarray(Math.max(0, open), close < 0 ? text.length : close + 1)
}

const privateElements = ['<D', '<P', '<Q', '<DP', '<DQ', '<InverseQ']

/** `RSA.ToXmlString` of .NET: private numbers beside `Modulus`. */
function isNetXml(text: Uint8Array, start: number, end: number): boolean {
  if (text[end] !== 0x3c && text[end] !== 0x3d) return false
  if (!privateElements.some((name) => endsWith(text, start - 1, name))) return false
  return letters(around(text, start), 0, before + behind).includes('<Modulus>')
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

/**
 * Reports the key that a run of hexadecimal from `start` belongs to, if it stands as `openssl pkey -text` prints it. The
 * name may end in letters of the run.
 */
export function reportNamedHex(text: Uint8Array, start: number, report: Report): void {
  let colon = start
  while (colon < start + 3 && text[colon] !== 0x3a) colon++
  if (text[colon] !== 0x3a || !isSpace(text[colon + 1])) return
  if (opensslNames.some((name) => endsWith(text, colon, name))) report('openssl-text', around(text, start))
}
