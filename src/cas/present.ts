import { keyAlgorithm, type CaConnectionAnswer } from '../api/ca-shapes.ts'
import { timestamp } from '../api/room.ts'
import { certificateRequestForCa } from './adapters/client-key.ts'
import type { CaAdapter } from './adapters/contract.ts'
import type { Credentials } from './adapters/kind.ts'
import { adapterKind } from './adapters/registry.ts'
import { ofKey } from './routing/route.ts'
import type { Prepared } from './open.ts'
import type { CaDeps, RequestCounts } from './deps.ts'
import { credentialsStanding, openCredentials, shownSettings } from './kept.ts'
import { readLists } from './lists/store.ts'
import type { ConnectionRow } from './store.ts'

const none: RequestCounts = { waiting: 0, pending: 0, unknown: 0, left: 0 }

const whatItCan = (adapter: CaAdapter): CaConnectionAnswer['can'] => {
  const described = adapter.describe()
  return {
    acceptPublicKeys: described.acceptsPublicKey,
    algorithms: keyAlgorithm.options.filter((kind) => described.algorithms.includes(ofKey[kind])),
    revoke: adapter.revoke !== undefined,
    findLostOutcomes: adapter.find !== undefined || described.answersAgain || described.keepsNothing,
    refusesOtherContents: described.takesContentFromCsr,
    byHand: described.byHand,
  }
}

const timeOrNull = (at: number | null): string | null => (at === null ? null : timestamp(at))

/** What the CA's owner needs. The private part of a key never leaves. */
async function keyForCa(
  { crypto }: Pick<CaDeps, 'crypto'>,
  { kind, name }: ConnectionRow,
  credentials: Credentials,
): Promise<CaConnectionAnswer['keyForCa']> {
  if (kind === 'embedded') return null
  const own = await adapterKind(kind).keyForCa(crypto, credentials)
  return own ?? certificateRequestForCa(crypto, name, credentials)
}

/** A connection for administrators, without secrets. */
export async function presentConnection(
  deps: Pick<CaDeps, 'database' | 'keys' | 'crypto' | 'embedded'>,
  row: ConnectionRow,
  { adapter }: Prepared,
  counts: ReadonlyMap<string, RequestCounts>,
): Promise<CaConnectionAnswer> {
  const credentials = openCredentials(deps.keys, row)
  const lists = await readLists(deps.database, row.id)
  const { waiting, pending, unknown } = counts.get(row.id) ?? none
  return {
    id: row.id,
    kind: row.kind,
    name: row.name,
    recipient: row.kind === 'embedded' ? deps.embedded.name : row.recipient,
    country: row.country,
    state: row.state,
    version: row.version,
    settings: row.kind === 'embedded' ? { keyPolicy: deps.embedded.keyPolicy } : shownSettings(row),
    credentials: credentialsStanding(row, credentials),
    keyForCa: await keyForCa(deps, row, credentials),
    can: whatItCan(adapter),
    circuit: {
      state: row.openUntil === null ? 'closed' : 'open',
      failures: row.failures,
      openUntil: timeOrNull(row.openUntil),
      lastFailure: row.lastFailure,
      lastFailureAt: timeOrNull(row.lastFailureAt),
      lastSuccessAt: timeOrNull(row.lastSuccessAt),
    },
    requests: { waiting, pending, unknown },
    revocationLists: lists.map(({ url, thisUpdate, nextUpdate, appliedAt, lastFailure }) => ({
      url,
      thisUpdate: timeOrNull(thisUpdate),
      nextUpdate: timeOrNull(nextUpdate),
      appliedAt: timeOrNull(appliedAt),
      lastFailure,
    })),
    createdAt: timestamp(row.createdAt),
    createdBy: row.createdBy,
    changedAt: timestamp(row.changedAt),
  }
}
