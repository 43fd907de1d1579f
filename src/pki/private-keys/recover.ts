import { ellipticCurve } from '../elliptic-curves.ts'
import { ecPublicKey } from './curves.ts'
import { curve25519PublicKey } from './curve25519.ts'
import { bitLength } from '../integers.ts'
import type { Candidate } from './form.ts'
import { readPrivateValues } from './read.ts'
import { rsaPublicKey } from './rsa.ts'
import type { PrivateValues } from './values.ts'

/**
 * The SubjectPublicKeyInfo (DER) of the first readable private key among candidates. Null if none can be read.
 *
 * It is computed from the private value alone, and proved by a signature, or for X25519 by an agreement. Public parts
 * beside the private value are ignored: otherwise somebody could put a stranger's public key into a file and have that
 * stranger's certificates revoked. Never throws: null also stands for what the runtime cannot do. `brainpool` computes
 * on the brainpool curves, if the runtime has it.
 */
export async function recoverPublicKey(
  crypto: Crypto,
  candidates: readonly Candidate[],
  brainpool: Crypto | null = null,
): Promise<Uint8Array | null> {
  let costly = 0
  for (const candidate of candidates) {
    const values = readPrivateValues(candidate)
    // Of many costly keys in a body only one is read, so that nobody can cause seconds of work.
    if (values !== null && isCostly(values) && costly++ > 0) continue
    const spki = values === null ? null : await publicKeyOf(crypto, values, brainpool).catch(() => null)
    if (spki !== null) return spki
  }
  return null
}

/** The largest RSA key that needs at most a hundredth of a second. */
const cheapBits = 3072

function isCostly(values: PrivateValues): boolean {
  if (values.kind === 'rsa') return bitLength(values.p) + bitLength(values.q) > cheapBits
  return values.kind === 'rsa-without-primes'
}

async function publicKeyOf(
  crypto: Crypto,
  values: PrivateValues,
  brainpool: Crypto | null,
): Promise<Uint8Array | null> {
  switch (values.kind) {
    case 'rsa':
    case 'rsa-without-primes':
      return rsaPublicKey(crypto, values)
    case 'ec':
      if (!ellipticCurve(values.curve).brainpool) return ecPublicKey(crypto, values)
      return brainpool === null ? null : ecPublicKey(brainpool, values)
    case 'Ed25519':
    case 'X25519':
      return curve25519PublicKey(crypto, values)
  }
}
