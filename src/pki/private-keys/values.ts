import type { CurveName } from '../elliptic-curves.ts'

/** What a private key is, by its private values alone: whatever public part stood beside them is left behind. */
export type PrivateValues =
  | { readonly kind: 'rsa'; readonly p: bigint; readonly q: bigint; readonly d: bigint }
  /** A key written without its primes: the modulus counts only if `d` and `e` take it apart. */
  | { readonly kind: 'rsa-without-primes'; readonly n: bigint; readonly e: bigint; readonly d: bigint }
  | { readonly kind: 'ec'; readonly curve: CurveName; readonly d: bigint }
  | { readonly kind: 'Ed25519' | 'X25519'; readonly seed: Uint8Array }
