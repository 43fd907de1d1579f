import type { CertificateReading, CertificateSearch, SubscriberReading } from '../api/admin-shapes.ts'
import { timestamp } from '../api/room.ts'
import type { CertificateDeps } from './deps.ts'
import { fingerprintIndex, serialNumberIndex } from './fingerprints.ts'
import { openFacts, openRevocation, type StoredFacts } from './present.ts'
import {
  readByFingerprint,
  readBySerialNumber,
  readCertificateWithoutBytes,
  readNewestCertificatesOf,
  type CertificateWithoutBytes,
} from './store.ts'

/** A certificate as administrators read it: with the mailbox, without its bytes. */
export type OpenedReading = CertificateReading & { readonly mailbox: string }

type ReadingDeps = Pick<CertificateDeps, 'database' | 'keys' | 'publishedAmong'>

const certificatesShown = 200
/** Two CAs that give the same serial number are an accident. More than that are of no use to anyone. */
const foundAtMost = 20

const termOf = ({ notBefore, notAfter }: StoredFacts): Pick<CertificateReading, 'notBefore' | 'notAfter'> => ({
  notBefore: timestamp(notBefore),
  notAfter: timestamp(notAfter),
})

function factsOf({ keys }: Pick<ReadingDeps, 'keys'>, row: CertificateWithoutBytes) {
  const facts = openFacts(keys, row)
  return { ...facts, ...termOf(facts) }
}

function revocationOf(
  { keys }: Pick<ReadingDeps, 'keys'>,
  { id, revocationSealed }: CertificateWithoutBytes,
): Pick<CertificateReading, 'revokedAt' | 'revocationReason'> {
  if (revocationSealed === null) return { revokedAt: null, revocationReason: null }
  const { at, reason } = openRevocation(keys, { id, revocationSealed })
  return { revokedAt: timestamp(at), revocationReason: reason }
}

async function readingsOf(deps: ReadingDeps, rows: readonly CertificateWithoutBytes[]): Promise<OpenedReading[]> {
  const published = await deps.publishedAmong(rows.map(({ id }) => id))
  return rows.map((row) => ({
    id: row.id,
    subscriberId: row.subscriber,
    deviceId: row.device,
    requestId: row.request,
    use: row.use,
    state: row.state,
    published: published.has(row.id),
    ...factsOf(deps, row),
    createdAt: timestamp(row.createdAt),
    ...revocationOf(deps, row),
    connectionId: row.connection,
    caRevocation:
      row.caRevocation === null || row.caRevocationState === null
        ? null
        : { id: row.caRevocation, state: row.caRevocationState },
  }))
}

/** Reads one certificate for administrators. Null where there is none. */
export async function readCertificateReading(deps: ReadingDeps, id: string): Promise<OpenedReading | null> {
  const row = await readCertificateWithoutBytes(deps.database, id)
  const [found] = row === null ? [] : await readingsOf(deps, [row])
  return found ?? null
}

/** Finds certificates by serial number or fingerprint. */
export async function searchCertificates(deps: ReadingDeps, by: CertificateSearch): Promise<OpenedReading[]> {
  return readingsOf(
    deps,
    'serialNumber' in by
      ? await readBySerialNumber(deps.database, serialNumberIndex(deps.keys, by.serialNumber), foundAtMost)
      : await readByFingerprint(deps.database, fingerprintIndex(deps.keys, by.fingerprintSha256), foundAtMost),
  )
}

/** Reads the newest certificates of a subscriber for administrators. */
export async function readSubscriberCertificates(
  deps: ReadingDeps,
  subscriber: string,
): Promise<SubscriberReading['certificates']> {
  const rows = await readNewestCertificatesOf(deps.database, subscriber, certificatesShown)
  const published = await deps.publishedAmong(rows.map(({ id }) => id))
  return rows.map((row) => ({
    id: row.id,
    mailboxId: row.mailbox,
    deviceId: row.device,
    use: row.use,
    state: row.state,
    published: published.has(row.id),
    ...termOf(openFacts(deps.keys, row)),
  }))
}
