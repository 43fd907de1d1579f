/** The part of tr46 that this project uses; the package ships no types. */
declare module 'tr46' {
  interface StrictOptions {
    readonly checkHyphens?: boolean
    readonly checkBidi?: boolean
    readonly checkJoiners?: boolean
    readonly useSTD3ASCIIRules?: boolean
    readonly transitionalProcessing?: boolean
    readonly ignoreInvalidPunycode?: boolean
  }

  /** The domain in A-labels, or null where it breaks a rule that was asked for. */
  export function toASCII(
    domain: string,
    options?: StrictOptions & { readonly verifyDNSLength?: boolean },
  ): string | null

  /** The domain in U-labels; `error` where it breaks a rule that was asked for. */
  export function toUnicode(
    domain: string,
    options?: StrictOptions,
  ): { readonly domain: string; readonly error: boolean }
}
