import { MalformedDer } from '../../pki/der.ts'
import { sha256Hex } from '../../pki/encoding.ts'
import { readForeignCrl, UnsupportedList, type ForeignList } from '../../pki/read-foreign-crl.ts'
import { toEach } from '../../ports/bounded.ts'
import type { OpenConnection } from '../../cas/contract.ts'
import type { CertificateDeps } from '../deps.ts'
import { noteConfirmed } from '../forwarding/deliver.ts'
import { followRevocation } from '../revoke.ts'
import { issuerOf } from './issuer.ts'
import { findNamed, type Named } from './named.ts'

/** How far a CA's clock may be ahead of this one. */
const clockSkewAllowed = 5 * 60_000

/** What became of a list. */
export type ReadList =
  | {
      readonly kind: 'applied'
      readonly thisUpdate: number
      readonly nextUpdate: number | null
      readonly sha256: string
      readonly revoked: number
    }
  | { readonly kind: 'refused'; readonly failure: string }

const refused = (failure: string): ReadList => ({ kind: 'refused', failure })

/** Why bytes are no list that can be read; anything else is thrown on. */
function failureOf(error: unknown): ReadList {
  if (error instanceof MalformedDer) return refused('list_malformed')
  if (error instanceof UnsupportedList) return refused('list_unsupported')
  throw error
}

/**
 * Applies a list of a CA elsewhere: what it names and can still be revoked is revoked here as of now, so that the
 * directory drops it, and what its CA was to be told counts as confirmed. An expired list is applied too, for what was
 * revoked stays so; one that is older than the last is not, since somebody may be showing it again.
 */
export async function applyList(
  deps: CertificateDeps,
  connection: OpenConnection,
  der: Uint8Array,
  lastUpdate: number | null,
): Promise<ReadList> {
  let list: ForeignList
  try {
    list = readForeignCrl(der)
  } catch (error) {
    return failureOf(error)
  }
  const thisUpdate = list.thisUpdate.getTime()
  if (thisUpdate > deps.clock() + clockSkewAllowed) return refused('list_not_yet_valid')
  if (lastUpdate !== null && thisUpdate < lastUpdate) return refused('list_older')
  const issuer = await issuerOf(deps, connection.trust, list)
  if (issuer.kind === 'failed') return refused(issuer.failure)
  let named: Named
  try {
    named = await findNamed(deps, connection.id, issuer.authorities, list)
  } catch (error) {
    return failureOf(error)
  }
  await follow(deps, connection.id, named)
  return {
    kind: 'applied',
    thisUpdate,
    nextUpdate: list.nextUpdate?.getTime() ?? null,
    sha256: await sha256Hex(deps.crypto, der),
    revoked: named.certificates.length,
  }
}

async function follow(deps: CertificateDeps, connection: string, named: Named): Promise<void> {
  const by = { actorKind: 'service', actor: `revocation list of ${connection}` } as const
  await toEach(named.certificates, ({ id, reason }) => followRevocation(deps, id, reason, by))
  await toEach(named.revocations, (id) => noteConfirmed(deps, { id, connection }, by))
}
