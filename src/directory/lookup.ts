import type { DeviceCaller } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import { presentCertificate } from '../enrolment/present.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import { toHex } from '../pki/encoding.ts'
import { StateCache } from '../ports/state-cache.ts'
import type { DirectoryDeps } from './deps.ts'
import { readPublished, type PublishedRow } from './store.ts'

/** The newest of each device, and at most this many for one address. */
const certificatesPerAddress = 10
const renderedKept = 4_000

/** One address's certificates as JSON, and until when (UTC milliseconds) all of them are in time. */
interface Rendered {
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
  // Answers of found addresses, rendered once: a withdrawn certificate is gone from them with the withdrawal. They name
  // their mailbox, so the keys may too, and an address that is found again needs no blind index.
  const cache = new StateCache<Rendered>(deps.database, renderedKept)

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
      const rendered = cache.get(`${use}/${key}`)
      if (rendered !== undefined && rendered.until > now) found.set(key, rendered.json)
      else missing.set(toHex(deps.keys.blindIndex(key)), key)
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
