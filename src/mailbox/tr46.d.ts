/** The part of tr46 that is used here. The package has no types of its own. */
declare module 'tr46' {
  interface StrictOptions {
    readonly checkHyphens?: boolean
    readonly checkBidi?: boolean
    readonly checkJoiners?: boolean
    readonly useSTD3ASCIIRules?: boolean
    readonly transitionalProcessing?: boolean
    readonly ignoreInvalidPunycode?: boolean
  }

  /** The domain in A-labels. Null if it breaks a rule that was asked for. */
  export function toASCII(
    domain: string,
    options?: StrictOptions & { readonly verifyDNSLength?: boolean },
  ): string | null

  /** The domain in U-labels. `error`: it breaks a rule that was asked for. */
  export function toUnicode(
    domain: string,
    options?: StrictOptions,
  ): { readonly domain: string; readonly error: boolean }
}
