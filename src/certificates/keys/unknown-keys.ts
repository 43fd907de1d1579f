import { rowBudgets } from '../../ports/row-budgets.ts'
import { revokeKey } from '../revoke.ts'
import type { CertificateDeps } from '../deps.ts'
import { keyIndex } from '../fingerprints.ts'
import { readIsListed, rememberUnknownKey } from './store.ts'
import { dayNumberOf } from '../../ports/time.ts'

/** How many unknown keys are remembered: some megabytes, and more than 200 networks can push out in a day. */
const roomForAll = 10_000

const isKnown = async (deps: Pick<CertificateDeps, 'database' | 'isKeyRequested'>, key: string): Promise<boolean> =>
  (await readIsListed(deps.database, key)) !== null || deps.isKeyRequested(key)

/** Which keys are compromised, and from which network a stranger says so. */
interface Compromised {
  readonly spkiSha256: string
  readonly source: 'reported' | 'disclosed'
  readonly network: string
}

async function remember(deps: CertificateDeps, index: string, { source, network }: Compromised): Promise<void> {
  const day = dayNumberOf(deps.clock())
  const sender = deps.keys.blindIndex(`unknown-key/${day}/${network}`)
  const room = { ofSender: rowBudgets.unknown_key.perDay, ofAll: roomForAll }
  await deps.database.batch(rememberUnknownKey({ keyIndex: index, sender }, room))
  deps.events.unknownKeyBlocked({ source })
}

/**
 * Blocks a key that is proved to be compromised. One that was certified or asked for here is blocked for good, with an
 * audit entry, and its certificates are revoked. Anybody can make others without end: those are blocked for as long as
 * there is room.
 */
export async function blockCompromised(deps: CertificateDeps, key: Compromised): Promise<void> {
  const index = keyIndex(deps.keys, key.spkiSha256)
  const known = await isKnown(deps, index)
  if (!known) await remember(deps, index, key)
  // A request that came meanwhile was refused for the remembered key, or is found now.
  if (!known && !(await isKnown(deps, index))) return
  await revokeKey(deps, key.spkiSha256, key.source, { actorKind: 'anyone', actor: null })
}
