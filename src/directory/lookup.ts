import { DomainError } from '../errors.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import { toBase64, toHex } from '../pki/encoding.ts'
import type { Asker } from './asker.ts'
import type { DirectoryDeps } from './deps.ts'
import type { LookupUse, ReadyAnswers, ReadyCertificate } from './ready-answers.ts'

/** The certificates from an issuing CA to its root, as DER and as a JSON list of base64. */
interface Chain {
  readonly certificates: readonly Uint8Array[]
  readonly json: string
}

/** One certificate that was found. */
export interface FoundCertificate {
  /** See `ReadyCertificate`. */
  readonly begun: string
  readonly chain: Chain
}

/** The addresses as they were sent, and what the certificates are for. */
interface LookupQuestion {
  readonly addresses: readonly string[]
  readonly use: LookupUse
}

/** The result for one address, which is written as it was sent. */
export interface LookupResult {
  readonly address: string
  readonly status: 'found' | 'not_found' | 'invalid'
  readonly certificates: readonly FoundCertificate[]
}

/** One address: as it was sent, and as it was read. Null if it is malformed. */
interface Asked {
  readonly text: string
  readonly mailbox: MailboxAddress | null
}

const parse = (text: string): Asked => {
  try {
    return { text, mailbox: parseMailboxAddress(text) }
  } catch (error) {
    if (error instanceof DomainError) return { text, mailbox: null }
    throw error
  }
}

/**
 * Answers a lookup in the order of its addresses. It is logged and charged to the asker's budgets before it is
 * answered. Rejects with `lookup_budget_spent` and `log_unavailable`; nothing is logged then.
 */
export type Lookup = (asker: Asker, question: LookupQuestion) => Promise<LookupResult[]>

export function createLookup(
  deps: Pick<DirectoryDeps, 'keys' | 'events' | 'recordLookup' | 'chainOf'>,
  ready: Pick<ReadyAnswers, 'find'>,
): Lookup {
  // An authority's chain never changes.
  const chains = new Map<string, Chain>()

  const chainOf = async (authority: string): Promise<Chain> => {
    const certificates = await deps.chainOf(authority)
    const chain = { certificates, json: JSON.stringify(certificates.map(toBase64)) }
    if (certificates.length > 0) chains.set(authority, chain)
    return chain
  }

  const withChains = async (certificates: readonly ReadyCertificate[]): Promise<FoundCertificate[]> => {
    const found: FoundCertificate[] = []
    for (const { authority, begun } of certificates) {
      found.push({ begun, chain: chains.get(authority) ?? (await chainOf(authority)) })
    }
    return found
  }

  return async (asker, question) => {
    const asked = question.addresses.map(parse)
    const distinct = new Map<string, MailboxAddress>()
    for (const { mailbox } of asked) if (mailbox !== null) distinct.set(mailbox.matchingKey, mailbox)
    const indexes = Array.from(distinct.keys(), (key) => deps.keys.blindIndex(key))
    const answers = await ready.find(indexes, question.use, asker.audience)
    const found = new Map<string, readonly FoundCertificate[]>()
    for (const [number, key] of [...distinct.keys()].entries()) {
      const certificates = answers.get(toHex(indexes[number] ?? new Uint8Array()))
      if (certificates !== undefined) found.set(key, await withChains(certificates))
    }
    const addresses = Array.from(distinct, ([matchingKey, { address }]) => ({
      address,
      matchingKey,
      status: found.has(matchingKey) ? ('found' as const) : ('not_found' as const),
    }))
    await deps.recordLookup({ asker: asker.id, device: asker.device, scopes: asker.scopes, addresses })
    deps.events.lookupAnswered({ found: found.size, notFound: distinct.size - found.size })
    return asked.map(({ text, mailbox }): LookupResult => {
      if (mailbox === null) return { address: text, status: 'invalid', certificates: [] }
      const certificates = found.get(mailbox.matchingKey) ?? []
      return { address: text, status: certificates.length === 0 ? 'not_found' : 'found', certificates }
    })
  }
}
