import { createCrl } from '../../pki/crl.ts'
import { GuardBroken, type Database } from '../../ports/database.ts'
import type { Clock } from '../../ports/runtime.ts'
import type { Authorities } from './authorities.ts'
import {
  keepRevocationList,
  markListed,
  readListDate,
  readRevocationList,
  readRevoked,
  readUnlisted,
  type RevocationListRow,
} from './store.ts'
import { dayMilliseconds, hourMilliseconds } from '../../ports/time.ts'

/** What making revocation lists needs. */
export interface RevocationListDeps {
  readonly database: Database
  readonly crypto: Crypto
  readonly clock: Clock
  readonly authorities: Authorities
}

/** How old a list may become before the next one is made, and how long it holds. */
const terms = {
  // S/MIME BR 4.9.7: at least every seven days and nextUpdate at most ten days on; here daily.
  issuing: { renewAfter: 12 * hourMilliseconds, goodFor: 7 * dayMilliseconds },
  // S/MIME BR 4.9.7: at least every twelve months.
  root: { renewAfter: 180 * dayMilliseconds, goodFor: 360 * dayMilliseconds },
} as const

/** Clients whose clocks run slow must not find a list from the future. */
const backdatingMilliseconds = 60_000

/**
 * The next number of a list: at least the time in seconds, so that it does not go back after an older copy of the
 * database was restored (RFC 5280 5.2.3).
 */
const nextNumber = (previous: RevocationListRow | null, now: number): number =>
  Math.max((previous?.number ?? 0) + 1, Math.floor(now / 1_000))

async function isDue(deps: RevocationListDeps, role: 'root' | 'issuing', authority: string): Promise<boolean> {
  const previous = await readRevocationList(deps.database, authority)
  if (previous === null || previous.thisUpdate < deps.clock() - terms[role].renewAfter) return true
  return (await readUnlisted(deps.database, authority)) !== null
}

/** Signs and stores a new list of one authority. If another process was faster, its list stays. */
async function issue(deps: RevocationListDeps, role: 'root' | 'issuing', authority: string): Promise<void> {
  const now = deps.clock()
  const previous = await readRevocationList(deps.database, authority)
  // RFC 5280 3.3: an entry stays until one list after the certificate's expiry has it.
  const revoked = await readRevoked(deps.database, authority, previous?.thisUpdate ?? 0)
  const signer = await deps.authorities.signer(authority)
  const number = nextNumber(previous, now)
  const nextUpdate = now + terms[role].goodFor
  const list = await createCrl(deps.crypto, {
    issuer: signer.certificate,
    issuerPrivateKey: signer.privateKey,
    issuerKeyKind: signer.keyKind,
    number,
    thisUpdate: new Date(now - backdatingMilliseconds),
    nextUpdate: new Date(nextUpdate),
    entries: revoked.map((row) => ({
      serialNumber: row.serialNumber,
      revokedAt: new Date(row.revokedAt),
      reason: row.reason,
    })),
  })
  const firstListed = revoked.filter((row) => row.listedIn === null).map((row) => row.serialNumber)
  try {
    await deps.database.batch([
      ...keepRevocationList({ authority, number, thisUpdate: now, nextUpdate, list }),
      markListed(authority, firstListed, number),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
  }
}

/** Issues the lists that are due. It runs every minute, so a new revocation is listed within five. */
export async function issueRevocationLists(deps: RevocationListDeps): Promise<void> {
  for (const role of ['issuing', 'root'] as const) {
    const authority = deps.authorities[role].id
    if (await isDue(deps, role, authority)) await issue(deps, role, authority)
  }
}

/** A list that is late by this much means that the job, which runs every minute, fails. */
const lateMilliseconds = hourMilliseconds

/** Warns if a list is an hour late. Until the next list, others do not learn what was revoked since. */
export async function overdueLists(deps: Pick<RevocationListDeps, 'database' | 'clock' | 'authorities'>) {
  const warnings: string[] = []
  for (const role of ['issuing', 'root'] as const) {
    const kept = await readListDate(deps.database, deps.authorities[role].id)
    if (kept === null || deps.clock() <= kept.thisUpdate + terms[role].renewAfter + lateMilliseconds) continue
    warnings.push(
      `The revocation list of the ${role} CA is overdue: see job_failed in the log for the job revocation-lists.`,
    )
  }
  return warnings
}

/**
 * Issues every list anew, also lists that are not due. After an older copy of the database was restored, the world
 * knows newer lists than the one in it.
 */
export async function reissueRevocationLists(deps: RevocationListDeps): Promise<void> {
  for (const role of ['issuing', 'root'] as const) await issue(deps, role, deps.authorities[role].id)
}

/** The newest list of an authority. Null if the authority is not known here. */
export async function currentRevocationList(
  deps: RevocationListDeps,
  authority: string,
): Promise<RevocationListRow | null> {
  const kept = await readRevocationList(deps.database, authority)
  if (kept !== null && kept.nextUpdate > deps.clock()) return kept
  const role = (['issuing', 'root'] as const).find((candidate) => deps.authorities[candidate].id === authority)
  if (role === undefined) return null
  await issue(deps, role, authority)
  return readRevocationList(deps.database, authority)
}
