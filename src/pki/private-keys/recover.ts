import { ellipticCurve } from '../elliptic-curves.ts'
import { ecPublicKey } from './curves.ts'
import { curve25519PublicKey } from './curve25519.ts'
import type { PrivateKeyFinding } from './detect.ts'
import { bitLength } from '../integers.ts'
import { readPrivateValues } from './read.ts'
import { rsaPublicKey } from './rsa.ts'
import type { PrivateValues } from './values.ts'

/**
 * The SubjectPublicKeyInfo (DER) that belongs to the first private key of a finding that can be read; null if none can.
 *
 * It is computed from the private value alone and proved by a signature, or for X25519 an agreement. Nothing public that
 * stood beside the private value has a part in it: else whoever writes a file could put a stranger's public key into
 * it and have that stranger's certificates revoked. Never throws: what the runtime cannot do is null too. `brainpool`
 * is what computes on those curves, where the runtime has it.
 */
export async function recoverPublicKey(
  crypto: Crypto,
  finding: PrivateKeyFinding,
  brainpool: Crypto | null = null,
): Promise<Uint8Array | null> {
  let costly = 0
  for (const candidate of finding.candidates) {
    const values = readPrivateValues(candidate)
    // A body with many of these gets one of them, so that nobody can send work for seconds.
    if (values !== null && isCostly(values) && costly++ > 0) continue
    const spki = values === null ? null : await publicKeyOf(crypto, values, brainpool).catch(() => null)
    if (spki !== null) return spki
  }
  return null
}

/** The largest RSA key that works within a hundredth of a second. */
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
