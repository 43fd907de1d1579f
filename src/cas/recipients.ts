import { embeddedConnection } from './contract.ts'
import type { ConnectionDeps } from './registry.ts'
import { readConnection, readConnections, readRemovedSentTo } from './store.ts'

/** Who gets the address and the public key of requests, or got them and may hold them still. */
export interface Recipient {
  /** Who runs the CA; of the CA inside its own name. */
  readonly recipient: string
  /** ISO 3166-1 alpha-2. */
  readonly country: string | null
  /** By which administrators know the connection; null for the CA inside. */
  readonly connection: string | null
  readonly state: 'active' | 'paused' | 'removed'
}

/**
 * Everybody to whom requests can go, the CA inside first, read from the very rows that requests are sent by: what does
 * not stand here cannot be used. Who was removed stands here for as long as requests are kept that went there, and not
 * at all where nothing was ever sent.
 */
export async function readRecipients({ database, embedded }: ConnectionDeps): Promise<Recipient[]> {
  const all = await readConnections(database)
  const hasRemoved = all.some(({ state }) => state === 'removed')
  const sentTo = new Set(hasRemoved ? (await readRemovedSentTo(database)).map(({ id }) => id) : [])
  return all
    .filter(({ id, state }) => state !== 'removed' || sentTo.has(id))
    .toReversed()
    .map(({ kind, name, recipient, country, state }) =>
      kind === 'embedded'
        ? { recipient: embedded.name, country, connection: null, state }
        : { recipient, country, connection: name, state },
    )
}

/** See `Connections.recipientOf`. */
export async function readRecipientOf({ database, embedded }: ConnectionDeps, id: string): Promise<string> {
  if (id === embeddedConnection) return embedded.name
  const row = await readConnection(database, id)
  if (row === null) throw new Error('a request names a CA connection that is not there')
  return row.recipient
}
