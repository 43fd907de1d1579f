import type { DeviceCaller } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import { presentCertificate } from '../enrolment/present.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import { toHex } from '../pki/encoding.ts'
import type { DirectoryDeps } from './deps.ts'
import { readPublished, type PublishedRow } from './store.ts'

/** The newest of each device, and at most this many for one address. */
const certificatesPerAddress = 10
const renderedKept = 10_000

/** One address's certificates as JSON, and until when (UTC milliseconds) all of them are in time. */
interface Rendered {
  readonly json: string
  readonly until: number
}

/**
 * Answers of found addresses, rendered once. Valid for one state of the database: any write, of this process or
 * another, empties it, so a withdrawn certificate is gone with the withdrawal. The answers name their mailbox, so the
 * keys may too: an address that is found again needs no blind index.
 */
class RenderedAnswers {
  readonly #database: DirectoryDeps['database']
  readonly #rendered = new Map<string, Rendered>()
  #stamp: number | null = null

  constructor(database: DirectoryDeps['database']) {
    this.#database = database
  }

  /** Call it once before a series of `get` and `set`; its answer goes to `set`. */
  refresh(): number | null {
    const stamp = this.#database.changeStamp()
    if (stamp === null || stamp !== this.#stamp) this.#rendered.clear()
    this.#stamp = stamp
    return stamp
  }

  get(key: string, now: number): string | undefined {
    const rendered = this.#rendered.get(key)
    return rendered !== undefined && rendered.until > now ? rendered.json : undefined
  }

  /** Keeps nothing that was read before a write which another lookup has seen meanwhile. */
  set(stamp: number | null, key: string, rendered: Rendered): void {
    if (stamp === null || stamp !== this.#stamp) return
    if (this.#rendered.size >= renderedKept) this.#rendered.clear()
    this.#rendered.set(key, rendered)
  }
}

const newestPerDevice = (rows: readonly PublishedRow[]): PublishedRow[] => {
  const devices = new Set<string>()
  return rows
    .filter((row) => !devices.has(row.device) && devices.add(row.device).has(row.device))
    .slice(0, certificatesPerAddress)
}

/** What a sender asked: addresses as they were sent, and what the certificates are for. */
interface LookupQuestion {
  readonly addresses: readonly string[]
  readonly use: 'sign' | 'encrypt'
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

/** Answers lookups as ready JSON, each logged before it is answered. */
export type Lookup = (caller: DeviceCaller, question: LookupQuestion) => Promise<string>

export function createLookup(deps: DirectoryDeps): Lookup {
  const cache = new RenderedAnswers(deps.database)

  const render = (rows: readonly PublishedRow[]): Rendered => ({
    json: JSON.stringify(rows.map((row) => presentCertificate(deps.keys, deps.chainOf, row))),
    until: Math.min(...rows.map((row) => row.notAfter)),
  })

  /** The certificates as JSON by matching key; an address that is not found has no entry. */
  const find = async (matchingKeys: Iterable<string>, use: 'sign' | 'encrypt'): Promise<Map<string, string>> => {
    const now = deps.clock()
    const found = new Map<string, string>()
    const stamp = cache.refresh()
    const missing = new Map<string, string>()
    for (const key of matchingKeys) {
      const json = cache.get(`${use}/${key}`, now)
      if (json === undefined) missing.set(toHex(deps.keys.blindIndex(key)), key)
      else found.set(key, json)
    }
    if (missing.size === 0) return found
    const rows = await readPublished(deps.database.reading('primary'), [...missing.keys()], use, now)
    const byKey = Map.groupBy(rows, (row) => missing.get(toHex(row.addressIndex)) ?? '')
    for (const [key, ofAddress] of byKey) {
      const rendered = render(newestPerDevice(ofAddress))
      found.set(key, rendered.json)
      cache.set(stamp, `${use}/${key}`, rendered)
    }
    return found
  }

  return async (caller, question) => {
    const asked = question.addresses.map(parse)
    const distinct = new Map<string, MailboxAddress>()
    for (const { mailbox } of asked) if (mailbox !== null) distinct.set(mailbox.matchingKey, mailbox)
    const found = await find(distinct.keys(), question.use)
    await deps.recordLookup(
      { asker: caller.subscriberId, device: caller.deviceId },
      Array.from(distinct, ([key, { address }]) => ({
        address,
        status: found.has(key) ? ('found' as const) : ('not_found' as const),
      })),
    )
    const results = asked.map(({ text, mailbox }) => {
      const certificates = mailbox === null ? undefined : found.get(mailbox.matchingKey)
      const status = mailbox === null ? 'invalid' : certificates === undefined ? 'not_found' : 'found'
      return `{"address":${JSON.stringify(text)},"status":"${status}","certificates":${certificates ?? '[]'}}`
    })
    return `{"results":[${results.join(',')}]}`
  }
}
