import type { CertificateReading, CertificateSearch, ListedRequest, SubscriberReading } from '../../api/admin-shapes.ts'
import type { DecidedRequest } from '../../api/ca-shapes.ts'
import { timestamp } from '../../api/room.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'
import { approveRequest, rejectRequest } from '../approval/decide.ts'
import { createByHandAdministration, type ByHandAdministration } from '../by-hand/administration.ts'
import type { ConnectionAdministration } from '../../cas/administration.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import {
  createRevocationAdministration,
  type RevocationAdministration,
} from '../../certificates/forwarding/administration.ts'
import { blockImported } from '../../certificates/keys/blocklist.ts'
import { openFacts } from '../../certificates/present.ts'
import { listRequests, openRequest, type OpenedRequest, type RequestQuestion } from './requests.ts'
import type { RoutingAdministration } from '../../cas/routing/administration.ts'
import { revokeCertificate } from '../../certificates/revoke.ts'
import {
  countRequestsByState,
  countValidCertificates,
  readAtTheirCas,
  readByFingerprint,
  readBySerialNumber,
  readCertificateWithoutBytes,
  readNewestCertificatesOf,
  type CertificateAtCa,
  type CertificateWithoutBytes,
} from './store.ts'
import type { RequestState } from '../store.ts'

/** A certificate with what names a person, without its bytes. */
export type OpenedReading = CertificateReading & { readonly mailbox: string }

/** Requests and certificates as administrators see them. */
export interface EnrolmentAdministration {
  /** One page, newest first. */
  requests(question: RequestQuestion): Promise<{ items: ListedRequest[]; next: string | null }>
  /** Null where there is none. */
  request(id: string): Promise<OpenedRequest | null>
  /** See `approveRequest`. */
  approve(request: string, by: string): Promise<DecidedRequest>
  /** See `rejectRequest`. */
  reject(request: string, by: string, explanation: string): Promise<DecidedRequest>
  /** Null where there is none. */
  certificate(id: string): Promise<OpenedReading | null>
  find(by: CertificateSearch): Promise<OpenedReading[]>
  certificatesOf(subscriber: string): Promise<SubscriberReading['certificates']>
  /** Revokes on behalf of an administrator; one that has ended stays as it is. */
  revoke(certificate: string, reason: RevocationReason | null, by: string): Promise<void>
  /** Blocks keys by their fingerprints on behalf of an administrator; resolves to how many were not blocked before. */
  block(fingerprints: readonly string[], by: string): Promise<number>
  counts(): Promise<{ validCertificates: number; requests: Partial<Record<RequestState, number>> }>
  readonly connections: ConnectionAdministration
  readonly routing: RoutingAdministration
  readonly byHand: ByHandAdministration
  readonly revocations: RevocationAdministration
}

type Deps = Pick<EnrolmentDeps, 'database' | 'keys' | 'publishedAmong'>

const certificatesShown = 200
/** Two authorities that give the same serial number are one accident; more are no use to anyone. */
const foundAtMost = 20

function presentAtCa(found: CertificateAtCa | undefined): Pick<CertificateReading, 'connectionId' | 'caRevocation'> {
  if (found === undefined) throw new Error('a certificate has no request')
  const { connection, revocation, state } = found
  return {
    connectionId: connection,
    caRevocation: revocation === null || state === null ? null : { id: revocation, state },
  }
}

async function presentCertificates(deps: Deps, rows: readonly CertificateWithoutBytes[]): Promise<OpenedReading[]> {
  const ids = rows.map(({ id }) => id)
  const published = await deps.publishedAmong(ids)
  const atCas = new Map((await readAtTheirCas(deps.database, ids)).map((found) => [found.certificate, found]))
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
    ...presentAtCa(atCas.get(row.id)),
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

export const createEnrolmentAdministration = (
  deps: EnrolmentDeps,
  engine: Pick<Engine, 'wake'>,
): EnrolmentAdministration => ({
  connections: deps.connections.administration,
  routing: deps.connections.routing,
  byHand: createByHandAdministration(deps, engine),
  revocations: createRevocationAdministration(deps),
  requests: (question) => listRequests(deps, question),
  request: (id) => openRequest(deps, id),
  approve: (request, by) => approveRequest(deps, engine, request, by),
  reject: (request, by, explanation) => rejectRequest(deps, request, by, explanation),
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
