import { toASCII, toUnicode } from 'tr46'

/** UTS #46 with all checks on. In tr46 this comes closest to the lookup of RFC 5891 section 5. */
const strict = {
  checkHyphens: true,
  checkBidi: true,
  checkJoiners: true,
  useSTD3ASCIIRules: true,
  transitionalProcessing: false,
  ignoreInvalidPunycode: false,
} as const

/** RFC 1034 section 3.5: letters, digits and inner hyphens. At least two labels of at most 63 octets. */
const plainDomain =
  /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$/

/** RFC 3696 section 2: a top-level label is never all digits. This also refuses bare IPv4 addresses. */
const allDigitTopLabel = /\.[0-9]+$/

/**
 * The characters of a U-label after mapping, RFC 5892 section 2: letters, marks and decimal digits without capitals,
 * the exceptions of section 2.6, and code points whose context is checked below or by tr46 (joiners).
 */
const permittedLabel =
  /^[\p{Ll}\p{Lo}\p{Lm}\p{Mn}\p{Mc}\p{Nd}\p{Join_Control}\-\u00b7\u0375\u05f3\u05f4\u06fd\u06fe\u0f0b\u3007\u30fb]+$/u

/** Letters and marks that RFC 5892 section 2.6 disallows as exceptions. */
const disallowedLetter = /[\u0640\u07fa\u302e\u302f\u3031-\u3035\u303b]/u

/** RFC 5892 appendix A.3 to A.9: each code point outside the context in which it is allowed. */
const outOfContext = [
  /(?<!l)\u00b7|\u00b7(?!l)/u,
  /\u0375(?!\p{Script=Greek})/u,
  /(?<!\p{Script=Hebrew})[\u05f3\u05f4]/u,
  /[\u0660-\u0669].*[\u06f0-\u06f9]|[\u06f0-\u06f9].*[\u0660-\u0669]/u,
]

/** RFC 5892 appendix A.7: a label with the katakana middle dot needs at least one Japanese letter. */
function middleDotIsInContext(label: string): boolean {
  return (
    !label.includes('\u30fb') ||
    /[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u.test(label.replaceAll('\u30fb', ''))
  )
}

/** Checks one U-label against IDNA2008. UTS #46 alone lets symbols such as emoji through (section 4, status NV8). */
function isIdna2008Label(label: string): boolean {
  return (
    permittedLabel.test(label) &&
    !disallowedLetter.test(label) &&
    middleDotIsInContext(label) &&
    !outOfContext.some((pattern) => pattern.test(label))
  )
}

/**
 * The domain as lower-case IDNA2008 A-labels (RFC 5890 section 2.3.2.1). Null if it is not a host name of at least two
 * labels. Plain ASCII names, which are nearly all, never need the Unicode tables.
 */
export function canonicalDomain(domain: string): string | null {
  if (plainDomain.test(domain) && !domain.includes('--')) {
    return domain.length <= 253 && !allDigitTopLabel.test(domain) ? domain.toLowerCase() : null
  }
  const ascii = toASCII(domain, { ...strict, verifyDNSLength: true })
  if (ascii === null || !plainDomain.test(ascii) || allDigitTopLabel.test(ascii)) return null
  const unicode = toUnicode(ascii, strict)
  if (unicode.error || !unicode.domain.split('.').every(isIdna2008Label)) return null
  return ascii
}
