import type { OpenConnection } from './contract.ts'
import { prepareConnection, type Prepared } from './prepare.ts'
import type { CaDeps } from './deps.ts'
import { readConnection, type ConnectionRow } from './store.ts'

/** Opens connections. */
export interface Opening {
  /** See `Connections.open`. */
  readonly open: (id: string) => Promise<OpenConnection | null>
  /** The same of a row that was read just now, and may be of a connection that was removed. */
  readonly prepare: (row: ConnectionRow) => Prepared
}

/**
 * The row is read each time, so that what another process did to it is seen at once; what is made of it is kept for as
 * long as it has the same version.
 */
export function createOpening(deps: CaDeps): Opening {
  const kept = new Map<string, { readonly version: number; readonly prepared: Prepared }>()

  const prepare = (row: ConnectionRow): Prepared => {
    const known = kept.get(row.id)
    if (known?.version === row.version) return known.prepared
    const prepared = prepareConnection(deps, row)
    kept.set(row.id, { version: row.version, prepared })
    return prepared
  }

  return {
    prepare,
    open: async (id) => {
      const row = await readConnection(deps.database, id)
      if (row === null || row.state === 'removed') return null
      const { keyPolicy, adapter, trust, mailboxChallengeSender } = prepare(row)
      return { id, kind: row.kind, name: row.name, state: row.state, keyPolicy, adapter, trust, mailboxChallengeSender }
    },
  }
}
