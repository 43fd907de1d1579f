import { timestamp } from '../../api/room.ts'
import type { Gauge } from '../../ports/meter.ts'
import type { CertificateDeps } from '../deps.ts'
import { readOverdue } from '../../cas/lists/store.ts'

/** So many failures before a list was ever had are no accident. */
const failuresWarnedOf = 3

type WatchDeps = Pick<CertificateDeps, 'database' | 'clock'>

const whatToDo: Readonly<Record<string, string>> = {
  list_issuer_unknown: 'put the CA that signs it among the anchors or intermediates of the connection',
  list_signature_invalid: 'see whether the URL is that of this CA',
  list_unsupported: 'have the CA publish a complete list of its own certificates',
}

/** Warns of lists of CAs elsewhere that are overdue: what those CAs have revoked since may still be in the directory. */
export async function foreignListWarnings({ database, clock }: WatchDeps): Promise<string[]> {
  const overdue = await readOverdue(database, clock(), failuresWarnedOf)
  return overdue.map(({ name, url, nextUpdate, lastFailure }) => {
    const since = nextUpdate === null ? 'could never be had' : `is overdue since ${timestamp(nextUpdate)}`
    const todo = whatToDo[lastFailure ?? ''] ?? 'see whether the CA still publishes it there'
    return `The revocation list ${url} of the CA connection ${name} ${since} (${lastFailure ?? 'not fetched'}): ${todo}.`
  })
}

export const foreignListGauges = ({ database, clock }: WatchDeps): readonly Gauge[] => [
  {
    name: 'certbook_ca_lists_overdue',
    means: 'revocation lists of connected CAs that are overdue',
    label: 'connection',
    read: async () => {
      const counts = new Map<string, number>()
      for (const { connection } of await readOverdue(database, clock(), failuresWarnedOf)) {
        counts.set(connection, (counts.get(connection) ?? 0) + 1)
      }
      return counts
    },
  },
]
