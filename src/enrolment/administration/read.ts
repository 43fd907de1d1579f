import type { CertificateReading, CertificateSearch, ListedRequest, SubscriberReading } from '../../api/admin-shapes.ts'
import { pageFrom, readCursor } from '../../api/paging.ts'
import { timestamp } from '../../api/room.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'
import { toEach } from '../../ports/bounded.ts'
import type { Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { blockImported } from '../keys/blocklist.ts'
import { openFacts } from '../present.ts'
import { revokeCertificate } from '../status/revoke.ts'
import {
  countRequestsByState,
  countValidCertificates,
  keepFingerprint,
  readAllRequests,
  readByFingerprint,
  readBySerialNumber,
  readCertificateWithoutBytes,
  readNewestCertificatesOf,
  readOneRequest,
  readRequestsInState,
  readWithoutFingerprint,
  type CertificateWithoutBytes,
  type ListedRequestRow,
} from './store.ts'
import type { RequestState } from '../store.ts'

/** A request with what names a person. */
export interface OpenedRequest extends ListedRequest {
  readonly mailbox: string | null
  readonly certificateId: string | null
}

/** A certificate with what names a person, without its bytes. */
export type OpenedReading = CertificateReading & { readonly mailbox: string }

/** Requests and certificates as administrators see them. */
export interface EnrolmentAdministration {
  /** One page, newest first. */
  requests(question: {
    readonly state?: RequestState | undefined
    readonly limit: number
    readonly cursor?: string | undefined
  }): Promise<{ items: ListedRequest[]; next: string | null }>
  /** Null where there is none. */
  request(id: string): Promise<OpenedRequest | null>
  /** Null where there is none. */
  certificate(id: string): Promise<OpenedReading | null>
  find(by: CertificateSearch): Promise<OpenedReading[]>
  certificatesOf(subscriber: string): Promise<SubscriberReading['certificates']>
  /** Revokes on behalf of an administrator; one that has ended stays as it is. */
  revoke(certificate: string, reason: RevocationReason | null, by: string): Promise<void>
  /** Blocks keys by their fingerprints on behalf of an administrator; resolves to how many were not blocked before. */
  block(fingerprints: readonly string[], by: string): Promise<number>
  counts(): Promise<{ validCertificates: number; requests: Partial<Record<RequestState, number>> }>
}

type Deps = Pick<
  EnrolmentDeps,
  | 'database'
  | 'keys'
  | 'clock'
  | 'audit'
  | 'events'
  | 'mail'
  | 'registration'
  | 'onCertificatesEnded'
  | 'publishedAmong'
>

const certificatesShown = 200
/** Two authorities that give the same serial number are one accident; more are no use to anyone. */
const foundAtMost = 20

const presentRequest = (row: ListedRequestRow): ListedRequest => ({
  id: row.id,
  state: row.state,
  use: row.use,
  reason: row.reason,
  subscriberId: row.subscriber,
  deviceId: row.device,
  provedBy: row.provedBy,
  createdAt: timestamp(row.createdAt),
  updatedAt: timestamp(row.updatedAt),
})

async function openRequest(deps: Deps, id: string): Promise<OpenedRequest | null> {
  const row = await readOneRequest(deps.database, id)
  if (row === null) return null
  const mailboxes = await deps.registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find((candidate) => candidate.id === row.mailbox)?.address ?? null
  return { ...presentRequest(row), mailbox, certificateId: row.certificate }
}

async function presentCertificates(deps: Deps, rows: readonly CertificateWithoutBytes[]): Promise<OpenedReading[]> {
  const published = await deps.publishedAmong(rows.map(({ id }) => id))
  return rows.map((row) => ({
    id: row.id,
    subscriberId: row.subscriber,
    deviceId: row.device,
    requestId: row.request,
    use: row.use,
    state: row.state,
    published: published.has(row.id),
    ...openFacts(deps.keys, row),
    notBefore: timestamp(row.notBefore),
    notAfter: timestamp(row.notAfter),
    createdAt: timestamp(row.createdAt),
    revokedAt: row.revokedAt === null ? null : timestamp(row.revokedAt),
    revocationReason: row.revocationReason,
  }))
}

async function certificatesOf(deps: Deps, subscriber: string): Promise<SubscriberReading['certificates']> {
  const rows = await readNewestCertificatesOf(deps.database, subscriber, certificatesShown)
  const published = await deps.publishedAmong(rows.map(({ id }) => id))
  return rows.map((row) => ({
    id: row.id,
    mailboxId: row.mailbox,
    deviceId: row.device,
    use: row.use,
    state: row.state,
    published: published.has(row.id),
    notBefore: timestamp(row.notBefore),
    notAfter: timestamp(row.notAfter),
  }))
}

export const createEnrolmentAdministration = (deps: Deps): EnrolmentAdministration => ({
  requests: async ({ state, limit, cursor }) => {
    const before = readCursor(cursor)
    const rows = await (state === undefined
      ? readAllRequests(deps.database, before, limit + 1)
      : readRequestsInState(deps.database, state, before, limit + 1))
    const page = pageFrom(rows, limit)
    return { items: page.rows.map(presentRequest), next: page.next }
  },
  request: (id) => openRequest(deps, id),
  certificate: async (id) => {
    const row = await readCertificateWithoutBytes(deps.database, id)
    const [found] = row === null ? [] : await presentCertificates(deps, [row])
    return found ?? null
  },
  find: async (by) =>
    presentCertificates(
      deps,
      'serialNumber' in by
        ? await readBySerialNumber(deps.database, by.serialNumber, foundAtMost)
        : await readByFingerprint(deps.database, by.fingerprintSha256, foundAtMost),
    ),
  certificatesOf: (subscriber) => certificatesOf(deps, subscriber),
  revoke: (certificate, reason, by) =>
    revokeCertificate(deps, certificate, reason, { actorKind: 'administrator', actor: by }),
  block: (fingerprints, by) => blockImported(deps, fingerprints, by),
  counts: async () => {
    const valid = await countValidCertificates(deps.database, deps.clock())
    const requests = await countRequestsByState(deps.database)
    return {
      validCertificates: valid?.certificates ?? 0,
      requests: Object.fromEntries(requests.map((row) => [row.state, row.requests])),
    }
  },
})

const fingerprintsPerRun = 500

/** Keeps the fingerprints of certificates that were issued before they were kept, a few at a time. */
export async function keepFingerprints(deps: Pick<Deps, 'database' | 'keys'>): Promise<void> {
  const rows = await readWithoutFingerprint(deps.database, fingerprintsPerRun)
  const kept: Command[] = []
  try {
    await toEach(rows, async (row) => {
      kept.push(keepFingerprint(row.id, openFacts(deps.keys, row).fingerprintSha256))
    })
  } finally {
    if (kept.length > 0) await deps.database.batch(kept)
  }
}
