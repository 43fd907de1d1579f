import { DomainError } from '../errors.ts'
import { openCertificate, presentOpened } from '../certificates/present.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import { toHex } from '../pki/encoding.ts'
import { StateCache } from '../ports/state-cache.ts'
import type { Audience } from '../api/shapes.ts'
import type { Asker } from './asker.ts'
import type { DirectoryDeps } from './deps.ts'
import { readPublished, type PublishedRow } from './store.ts'

/** The newest of each device, and at most this many for one address. */
const certificatesPerAddress = 10
const renderedKept = 4_000

/** One certificate that was found, DER, and the chain to its root. */
export interface FoundCertificate {
  readonly certificate: Uint8Array
  readonly chain: readonly Uint8Array[]
}

/** One address's certificates, newest first; the same as JSON; until when (UTC milliseconds) all of them are in time. */
interface Rendered {
  readonly certificates: readonly FoundCertificate[]
  readonly json: string
  readonly until: number
}

/** `rows` come newest first. */
const newestPerDevice = (rows: readonly PublishedRow[]): PublishedRow[] =>
  [...Map.groupBy(rows, ({ device }) => device).values()]
    .flatMap((ofDevice) => ofDevice.slice(0, 1))
    .slice(0, certificatesPerAddress)

/** What a sender asked: addresses as they were sent, and what the certificates are for. */
interface LookupQuestion {
  readonly addresses: readonly string[]
  readonly use: 'sign' | 'encrypt'
}

/** What came of one address, which stands as it was sent. */
export interface LookupResult extends Pick<Rendered, 'certificates' | 'json'> {
  readonly address: string
  readonly status: 'found' | 'not_found' | 'invalid'
}

/** One asked address: as it was sent and as it is read, null where it is malformed. */
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

const nothing = { certificates: [], json: '[]' } as const

/**
 * Answers lookups in the order of the question, each logged, and charged to the asker's budgets, before it is answered.
 * Rejects with `lookup_budget_spent` and `log_unavailable`; then nothing is logged.
 */
export type Lookup = (asker: Asker, question: LookupQuestion) => Promise<LookupResult[]>

export function createLookup(deps: DirectoryDeps): Lookup {
  // Answers of found addresses, rendered once: a withdrawn certificate is gone from them with the withdrawal. They name
  // their mailbox, so the keys may too, and an address that is found again needs no blind index.
  const cache = new StateCache<Rendered>(deps.database, renderedKept)

  const render = async (rows: readonly PublishedRow[]): Promise<Rendered> => {
    const opened = await Promise.all(
      rows.map(async (row) => ({ ...openCertificate(deps.keys, row), chain: await deps.chainOf(row.authority) })),
    )
    return {
      certificates: opened.map(({ certificate, chain }) => ({ certificate, chain })),
      json: JSON.stringify(opened.map((certificate) => presentOpened(certificate.chain, certificate))),
      until: Math.min(...rows.map((row) => row.notAfter)),
    }
  }

  /** What an audience may find, by matching key; an address that is not found has no entry. */
  const find = async (
    matchingKeys: Iterable<string>,
    use: 'sign' | 'encrypt',
    audience: Audience,
  ): Promise<Map<string, Rendered>> => {
    const now = deps.clock()
    const found = new Map<string, Rendered>()
    const stamp = cache.refresh()
    const missing = new Map<string, string>()
    const place = (key: string): string => `${audience}/${use}/${key}`
    for (const key of matchingKeys) {
      const rendered = cache.get(place(key))
      if (rendered !== undefined && rendered.until > now) found.set(key, rendered)
      else missing.set(toHex(deps.keys.blindIndex(key)), key)
    }
    if (missing.size === 0) return found
    const rows = await readPublished(deps.database.reading('primary'), [...missing.keys()], use, audience, now)
    const byKey = Map.groupBy(rows, (row) => missing.get(toHex(row.addressIndex)) ?? '')
    for (const [key, ofAddress] of byKey) {
      const rendered = await render(newestPerDevice(ofAddress))
      found.set(key, rendered)
      cache.set(stamp, place(key), rendered)
    }
    return found
  }

  return async (asker, question) => {
    const asked = question.addresses.map(parse)
    const distinct = new Map<string, MailboxAddress>()
    for (const { mailbox } of asked) if (mailbox !== null) distinct.set(mailbox.matchingKey, mailbox)
    const found = await find(distinct.keys(), question.use, asker.audience)
    const addresses = Array.from(distinct, ([matchingKey, { address }]) => ({
      address,
      matchingKey,
      status: found.has(matchingKey) ? ('found' as const) : ('not_found' as const),
    }))
    await deps.recordLookup({ asker: asker.id, device: asker.device, scopes: asker.scopes, addresses })
    deps.events.lookupAnswered({ found: found.size, notFound: distinct.size - found.size })
    return asked.map(({ text, mailbox }): LookupResult => {
      if (mailbox === null) return { address: text, status: 'invalid', ...nothing }
      const { certificates, json } = found.get(mailbox.matchingKey) ?? nothing
      return { address: text, status: certificates.length === 0 ? 'not_found' : 'found', certificates, json }
    })
  }
}
