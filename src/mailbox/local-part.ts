/** The kind of a local part. It decides how the address is mailed and certified. */
export type LocalPartKind = 'ascii' | 'smtputf8'

/** Dot-atom of RFC 5321 section 4.1.2 (`Dot-string`), ASCII only. */
const dotAtom = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/

/** The same with all characters beyond ASCII, RFC 6531 section 3.3. */
const internationalDotAtom =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+)*$/u

/**
 * Characters that RFC 6531 allows but that people cannot see, type or tell apart: spaces, controls, unassigned code
 * points, direction marks, and characters that are not shown. The two joiners are allowed, because words need them.
 */
const whiteSpaceOrInvisible =
  /[\p{White_Space}\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Bidi_Control}]|(?![\u200c\u200d])\p{Default_Ignorable_Code_Point}/u

/** A mark without a letter before it would join to whatever stands before the address. */
const startsWithMark = /^\p{M}/u

/** Whether a text holds white space or invisible characters. */
export function hasWhiteSpaceOrInvisible(text: string): boolean {
  return whiteSpaceOrInvisible.test(text)
}

/** The kind of a local part. Undefined if it is not accepted. */
export function localPartKind(localPart: string): LocalPartKind | undefined {
  if (dotAtom.test(localPart)) return 'ascii'
  const isInternational = internationalDotAtom.test(localPart) && !startsWithMark.test(localPart)
  return isInternational && !hasWhiteSpaceOrInvisible(localPart) ? 'smtputf8' : undefined
}
