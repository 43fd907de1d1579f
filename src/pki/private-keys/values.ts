import type { CurveName } from '../elliptic-curves.ts'

/** A private key by its private values alone. Public parts beside them are left out. */
export type PrivateValues =
  | { readonly kind: 'rsa'; readonly p: bigint; readonly q: bigint; readonly d: bigint }
  /** A key without its primes. Its modulus counts only if `d` and `e` factorise it. */
  | { readonly kind: 'rsa-without-primes'; readonly n: bigint; readonly e: bigint; readonly d: bigint }
  | { readonly kind: 'ec'; readonly curve: CurveName; readonly d: bigint }
  | { readonly kind: 'Ed25519' | 'X25519'; readonly seed: Uint8Array }
