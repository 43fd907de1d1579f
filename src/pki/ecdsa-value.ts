import { encodeElement, encodeUnsigned, tag } from './der.ts'

/** Turns Web Crypto's signature, two integers side by side, into `ECDSA-Sig-Value` (RFC 5480 appendix A). */
export function ecdsaValueFromRaw(raw: Uint8Array): Uint8Array<ArrayBuffer> {
  const middle = raw.length / 2
  return encodeElement(tag.sequence, encodeUnsigned(raw.subarray(0, middle)), encodeUnsigned(raw.subarray(middle)))
}
