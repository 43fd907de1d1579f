import { embeddedConnection } from './contract.ts'
import type { CaDeps } from './deps.ts'
import { readConnection, readConnections } from './store.ts'

/** A recipient of the addresses and public keys of requests, now or earlier. */
export interface Recipient {
  /** Who runs the CA. For the CA inside: its own name. */
  readonly recipient: string
  /** ISO 3166-1 alpha-2. */
  readonly country: string | null
  /** The name of the connection. Null for the CA inside. */
  readonly connection: string | null
  readonly state: 'active' | 'paused' | 'removed'
}

/**
 * All recipients to whom requests can go, the CA inside first. It reads the rows that are also used for sending, so no
 * CA can be used without standing here. A removed connection stays while requests are stored that were sent there.
 */
export async function readRecipients(
  deps: Pick<CaDeps, 'database' | 'keys' | 'events' | 'embedded' | 'uses'>,
): Promise<Recipient[]> {
  const { embedded, uses } = deps
  const all = await readConnections(deps)
  const removed = all.filter(({ state }) => state === 'removed')
  const called = removed.filter((row) => row.lastSuccessAt !== null || row.lastFailureAt !== null)
  const sentTo = await uses.sentThrough(removed.map(({ id }) => id))
  return all
    .filter((row) => row.state !== 'removed' || called.includes(row) || sentTo.has(row.id))
    .toReversed()
    .map(({ kind, name, recipient, country, state }) =>
      kind === 'embedded'
        ? { recipient: embedded.name, country, connection: null, state }
        : { recipient, country, connection: name, state },
    )
}

/** See `Connections.recipientOf`. */
export async function readRecipientOf(
  deps: Pick<CaDeps, 'database' | 'keys' | 'events' | 'embedded'>,
  id: string,
): Promise<string> {
  if (id === embeddedConnection) return deps.embedded.name
  const row = await readConnection(deps, id)
  if (row === null) throw new Error('a request names a CA connection that is not there')
  return row.recipient
}
