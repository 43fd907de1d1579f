import type { AuthorityDeps } from '../ports/authority.ts'
import type { Database } from '../ports/database.ts'
import { readAuthorityStep } from './inside/store.ts'

/** A limit above the length of any chain. */
const chainAtMost = 10

type ChainDeps = AuthorityDeps & { readonly database: Database }

async function readChain(deps: ChainDeps, authority: string): Promise<Uint8Array[]> {
  const chain: Uint8Array[] = []
  for (let id = authority; chain.length < chainAtMost;) {
    const step = await readAuthorityStep(deps, id)
    if (step === null) break
    chain.push(step.certificate)
    if (step.issuer === id) break
    id = step.issuer
  }
  return chain
}

/** Reads the chain of an authority, the issuing CA first. A chain never changes, so each is read once. */
export function createChains(deps: ChainDeps): (authority: string) => Promise<readonly Uint8Array[]> {
  const known = new Map<string, readonly Uint8Array[]>()
  return async (authority) => {
    const before = known.get(authority)
    if (before !== undefined) return before
    const chain = await readChain(deps, authority)
    if (chain.length > 0) known.set(authority, chain)
    return chain
  }
}
