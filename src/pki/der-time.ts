import { encodeElement, tag } from './der.ts'

/** `YYYYMMDDHHMMSSZ`. Throws RangeError for a year that needs more than four digits. */
function digitsOf(time: Date): string {
  const iso = time.toISOString()
  if (!/^\d{4}-/.test(iso)) throw new RangeError('a year has four digits')
  return `${iso.slice(0, 19).replace(/[-:T]/g, '')}Z`
}

function encodeText(identifier: number, text: string): Uint8Array<ArrayBuffer> {
  const octets = new Uint8Array(text.length)
  for (let index = 0; index < octets.length; index++) octets[index] = text.charCodeAt(index)
  return encodeElement(identifier, octets)
}

/**
 * A Time of certificates and CRLs (RFC 5280 sections 4.1.2.5 and 5.1.2.4): UTCTime up to 2049, GeneralizedTime after
 * that, in UTC with seconds. Fractions are dropped. Throws RangeError for a year before 1950 or after 9999.
 */
export function encodeTime(time: Date): Uint8Array<ArrayBuffer> {
  const digits = digitsOf(time)
  if (digits < '1950') throw new RangeError('a time before 1950')
  return digits < '2050' ? encodeText(tag.utcTime, digits.slice(2)) : encodeText(tag.generalizedTime, digits)
}

/**
 * A GeneralizedTime (RFC 5280 section 4.1.2.5.2), which OCSP uses for all years (RFC 6960 section 4.2.2.1), in UTC with
 * seconds. Fractions are dropped. Throws RangeError for a year outside of 0 to 9999.
 */
export function encodeGeneralizedTime(time: Date): Uint8Array<ArrayBuffer> {
  return encodeText(tag.generalizedTime, digitsOf(time))
}
