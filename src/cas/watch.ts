import { timestamp } from '../api/room.ts'
import { parseCertificate } from '../pki/certificate.ts'
import type { Gauge } from '../ports/meter.ts'
import type { Opening } from './open.ts'
import type { CaDeps, RequestCounts } from './deps.ts'
import { credentialsStanding, openCredentials } from './kept.ts'
import { readConnections, type ConnectionRow } from './store.ts'
import { dayMilliseconds } from '../ports/time.ts'

const warnedBefore = 30 * dayMilliseconds

type WatchDeps = Pick<CaDeps, 'database' | 'keys' | 'events' | 'clock' | 'uses'> & Pick<Opening, 'prepare'>

const plural = (count: number, one: string, more: string): string => `${count} ${count === 1 ? one : more}`

/** Warnings about the CA connections, each with what to do. */
export async function connectionWarnings(deps: WatchDeps): Promise<string[]> {
  const counts = await deps.uses.countRequests()
  const byHand = await deps.uses.countRevocationsByHand()
  const rows = await readConnections(deps)
  return rows.flatMap((row) => [
    ...(row.state === 'removed'
      ? []
      : [
          ...ofCircuit(row),
          ...ofCredentials(deps, row),
          ...ofCertificates(deps, row),
          ...ofRequests(row, counts.get(row.id)),
          ...ofLeft(row, counts.get(row.id)?.left ?? 0),
        ]),
    // Certificates and their revocations outlive the connection.
    ...ofRevocations(row, byHand.get(row.id) ?? 0),
  ])
}

function ofCircuit({ name, openUntil, failures, lastFailure, lastFailureAt }: ConnectionRow): string[] {
  if (openUntil === null) return []
  const since = lastFailureAt === null ? '' : `, last at ${timestamp(lastFailureAt)}`
  return [
    `The CA connection ${name} has failed ${plural(failures, 'time', 'times')} in a row (${lastFailure ?? 'unknown'}${since}): ` +
      'requests wait, and it is tried again by itself. See certbook connection test.',
  ]
}

function ofCredentials({ keys }: WatchDeps, row: ConnectionRow): string[] {
  if (credentialsStanding(row, openCredentials(keys, row)) !== 'missing') return []
  return [
    `The CA connection ${row.name} has no client certificate yet: have its certificate request certified, and put it in ` +
      'with certbook connection client-certificate.',
  ]
}

function ofCertificates({ clock, prepare }: WatchDeps, row: ConnectionRow): string[] {
  const now = clock()
  return prepare(row)
    .restsOn.filter(({ notAfter }) => notAfter - now < warnedBefore)
    .map(({ what, notAfter }) =>
      notAfter <= now
        ? `Of the CA connection ${row.name} ${what} has expired, at ${timestamp(notAfter)}: replace it.`
        : `Of the CA connection ${row.name} ${what} expires at ${timestamp(notAfter)}: replace it before.`,
    )
}

function ofRequests({ name, state }: ConnectionRow, counts: RequestCounts | undefined): string[] {
  if (counts === undefined) return []
  const found: string[] = []
  if (state === 'paused' && counts.waiting > 0) {
    const waiting = plural(counts.waiting, 'request waits', 'requests wait')
    found.push(`The CA connection ${name} is paused, and ${waiting}: certbook connection resume.`)
  }
  if (counts.unknown > 0) {
    const unknown = plural(counts.unknown, 'request', 'requests')
    found.push(
      `Of ${unknown} at the CA connection ${name} nobody knows whether the CA has issued: look there, then settle each; ` +
        'certbook request list --state outcome_unknown.',
    )
  }
  return found
}

function ofLeft({ name }: ConnectionRow, left: number): string[] {
  if (left === 0) return []
  const requests = plural(left, 'request', 'requests')
  return [
    `Of ${requests} at the CA connection ${name} that came to nothing here the CA may have made a certificate all the ` +
      'same: look there, then bring it in to have it revoked, or settle the request as failed; ' +
      'certbook request list --state cancelled, and --state failed.',
  ]
}

function ofRevocations({ name }: ConnectionRow, byHand: number): string[] {
  if (byHand === 0) return []
  const waiting = plural(byHand, 'revocation waits', 'revocations wait')
  return [
    `At the CA connection ${name} ${waiting} to be made by hand: revoke there, then confirm it here; ` +
      'certbook revocation list --state by_hand.',
  ]
}

/** Days until the certificates of the CAs inside expire. */
function expiryGauge({ authorities, clock }: Pick<CaDeps, 'authorities' | 'clock'>): Gauge {
  const ends = (['issuing', 'root'] as const).map((role) => ({
    role,
    notAfter: parseCertificate(authorities[role].certificate).notAfter.getTime(),
  }))
  return {
    name: 'certbook_ca_expiry_days',
    means: "days until a CA's own certificate expires",
    label: 'authority',
    read: async () => new Map(ends.map(({ role, notAfter }) => [role, (notAfter - clock()) / dayMilliseconds])),
  }
}

/** Figures of the CAs inside, and of the connections by their id. */
export function caGauges(
  deps: Pick<CaDeps, 'database' | 'keys' | 'events' | 'uses' | 'authorities' | 'clock'>,
): readonly Gauge[] {
  const { uses } = deps
  const requests = (name: string, means: string, part: keyof RequestCounts): Gauge => ({
    name,
    means,
    label: 'connection',
    read: async () => {
      const rows = (await readConnections(deps)).filter(({ state }) => state !== 'removed')
      const counts = await uses.countRequests()
      return new Map(rows.map(({ id }) => [id, counts.get(id)?.[part] ?? 0]))
    },
  })
  return [
    expiryGauge(deps),
    {
      name: 'certbook_ca_circuit_open',
      means: '1 where nothing is sent to the CA for a while, because it failed',
      label: 'connection',
      read: async () => {
        const rows = (await readConnections(deps)).filter(({ state }) => state !== 'removed')
        return new Map(rows.map(({ id, openUntil }) => [id, openUntil === null ? 0 : 1]))
      },
    },
    requests('certbook_ca_requests_waiting', 'requests that wait to be sent to the CA', 'waiting'),
    requests('certbook_ca_requests_pending', 'requests that the CA has', 'pending'),
    requests('certbook_ca_requests_unknown', 'requests of which nobody knows whether the CA has issued', 'unknown'),
  ]
}
