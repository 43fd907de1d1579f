import type { Gauge } from '../../ports/meter.ts'
import type { CertificateDeps } from '../deps.ts'
import { countOpen, countWaitingSince } from './store.ts'
import { hourMilliseconds } from '../../ports/time.ts'

/** A CA that is there is told within a minute. */
const lateMilliseconds = hourMilliseconds

type WatchDeps = Pick<CertificateDeps, 'database' | 'clock'>

/** Warns of CAs that have not confirmed for an hour: until then others may rely on what is revoked here. */
export async function forwardingWarnings({ database, clock }: WatchDeps): Promise<string[]> {
  const late = await countWaitingSince(database, clock() - lateMilliseconds)
  return late.map(({ name, revocations, lastFailure }) => {
    const waiting = revocations === 1 ? 'one revocation' : `${revocations} revocations`
    return (
      `The CA connection ${name} has not confirmed ${waiting} for more than an hour (${lastFailure ?? 'not told yet'}): ` +
      'it is told again by itself; where that cannot help, revoke there and run certbook revocation confirm.'
    )
  })
}

export const forwardingGauges = ({ database }: Pick<WatchDeps, 'database'>): readonly Gauge[] => [
  {
    name: 'certbook_ca_revocations_open',
    means: 'revocations that the CA of the certificate has not confirmed',
    label: 'connection',
    read: async () => {
      const open = await countOpen(database)
      return new Map(open.map(({ connection, revocations }) => [connection, revocations]))
    },
  },
]
