import type { DisclosedBytes, KeyProver, ProvedKey } from '../../ports/key-prover.ts'
import { privateKeyFormNames, type Candidate } from './form.ts'
import { recoverPublicKey } from './recover.ts'

interface Means {
  readonly crypto: Crypto
  readonly brainpool: Crypto | null
}

const toCandidate = ({ form, bytes }: DisclosedBytes): Candidate[] =>
  privateKeyFormNames.filter((name) => name === form).map((name) => ({ form: name, bytes }))

/** Completes and proves keys in this thread, and says how long it took. */
export async function proveHere({ crypto, brainpool }: Means, keys: readonly DisclosedBytes[]): Promise<ProvedKey> {
  const began = performance.now()
  const spki = await recoverPublicKey(crypto, keys.flatMap(toCandidate), brainpool)
  return { spki, milliseconds: performance.now() - began }
}

/** For runtimes without threads. A request waits for the key that it brought. */
export const proverHere = (means: Means): KeyProver => ({
  places: 2,
  reservedPlaces: 1,
  prove: (keys) => proveHere(means, keys),
})
