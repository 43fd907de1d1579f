import { parseCertificate } from '../pki/certificate.ts'
import type { Gauge } from '../ports/meter.ts'
import type { EnrolmentDeps } from './deps.ts'
import { overdueLists, type RevocationListDeps } from '../cas/inside/revocation-list.ts'
import { countOpenRequests } from './store.ts'

const dayMilliseconds = 86_400_000

type MonitoringDeps = RevocationListDeps & Pick<EnrolmentDeps, 'connections'>

export function enrolmentGauges(deps: MonitoringDeps): readonly Gauge[] {
  const authorities = (['issuing', 'root'] as const).map((role) => ({
    role,
    notAfter: parseCertificate(deps.authorities[role].certificate).notAfter.getTime(),
  }))
  return [
    {
      name: 'certbook_open_requests',
      means: 'certificate requests without an outcome yet, by state',
      label: 'state',
      read: async () => {
        const open = await countOpenRequests(deps.database)
        return new Map(open.map(({ state, requests }) => [state, requests]))
      },
    },
    {
      name: 'certbook_ca_expiry_days',
      means: "days until a CA's own certificate expires",
      label: 'authority',
      read: () =>
        Promise.resolve(
          new Map(authorities.map(({ role, notAfter }) => [role, (notAfter - deps.clock()) / dayMilliseconds])),
        ),
    },
    ...deps.connections.gauges,
  ]
}

/**
 * Warns of what is not as it should be at the CAs, and where a revocation list should have been replaced: what was
 * revoked since is not told to the world.
 */
export async function enrolmentWarnings(deps: MonitoringDeps): Promise<string[]> {
  const overdue = await overdueLists(deps)
  return [
    ...overdue.map(
      (role) =>
        `The revocation list of the ${role} CA is overdue: see job_failed in the log for the job revocation-lists.`,
    ),
    ...(await deps.connections.warnings()),
  ]
}
