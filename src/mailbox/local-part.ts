/** How the local part of an address is written, which decides how it is mailed and certified. */
export type LocalPartKind = 'ascii' | 'smtputf8'

/** Dot-atom of RFC 5321 section 4.1.2 (`Dot-string`), ASCII only. */
const dotAtom = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/

/** The same with every character beyond ASCII, RFC 6531 section 3.3. */
const internationalDotAtom =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+)*$/u

/**
 * What RFC 6531 allows by its grammar and no person can see, type or tell apart: spaces, controls, code points without
 * a character, marks of direction, and what is ignored when it is shown, but for the two joiners that words need.
 */
const whiteSpaceOrInvisible =
  /[\p{White_Space}\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Bidi_Control}]|(?![\u200c\u200d])\p{Default_Ignorable_Code_Point}/u

/** A mark with no letter before it joins whatever stands in front of the address. */
const startsWithMark = /^\p{M}/u

/** Whether a text holds white space, or what is not seen when it is shown. */
export function hasWhiteSpaceOrInvisible(text: string): boolean {
  return whiteSpaceOrInvisible.test(text)
}

/** Whether a local part is written in a way that is accepted, and in which; undefined where it is not. */
export function localPartKind(localPart: string): LocalPartKind | undefined {
  if (dotAtom.test(localPart)) return 'ascii'
  const isInternational = internationalDotAtom.test(localPart) && !startsWithMark.test(localPart)
  return isInternational && !hasWhiteSpaceOrInvisible(localPart) ? 'smtputf8' : undefined
}
