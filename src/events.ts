/** How loud an event is. `debug` is for development and load tests. */
export const eventLevels = ['debug', 'info', 'warn', 'error'] as const
export type EventLevel = (typeof eventLevels)[number]

/**
 * Everything that the service says about itself, one function per event. No event takes an address, a secret or key
 * bytes; what an error's text may have picked up is blotted out before it is written.
 */
export interface Events {
  started(facts: { url: string; runtime: string }): void
  stopping(facts: { reason: string }): void
  stopped(): void
  /** `route` is asked for only where the event is written: every request passes here. */
  requestAnswered(facts: { method: string; route: () => string; status: number }): void
  requestFailed(facts: { method: string; route: string; error: unknown }): void
  jobFailed(facts: { job: string; error: unknown }): void
  databaseMigrated(facts: { database: string; migrations: readonly string[] }): void
  authoritiesCreated(facts: { issuing: string }): void
  registrationStarted(facts: { registration: string }): void
  registrationConfirmed(facts: { registration: string }): void
  registrationEnded(facts: { registration: string; reason: string }): void
  deviceRegistered(facts: { subscriber: string; device: string }): void
  certificateIssued(facts: { request: string; certificate: string }): void
  certificateRefused(facts: { request: string; reason: string }): void
  certificatePublished(facts: { certificate: string; audience: string }): void
  certificateWithdrawn(facts: { certificate: string }): void
  certificateRevoked(facts: { certificate: string; reason: string | null }): void
  keyBlocked(facts: { source: string }): void
  privateKeyRefused(facts: { form: string; became: string }): void
  mailSent(facts: { mail: string; kind: string }): void
  mailDelayed(facts: { mail: string; kind: string; reason: string; permanent: boolean }): void
  auditSealed(facts: { seal: number; entries: number }): void
  rowsPruned(facts: { table: string; rows: number }): void
}

const addressLike = /[^\s"'<>(),;:\\/]+@[^\s"'<>(),;:\\/]+/g
const pemLike = /-----BEGIN[\s\S]*?(-----END[^-]*-----|$)/g
const credentialLike = /cb_[a-z]+_[\w-]+/g

/** Blots out what must not be in a log, whoever put it into an error's text. */
const blotOut = (text: string): string =>
  text.replace(pemLike, '[pem]').replace(credentialLike, '[credential]').replace(addressLike, '[address]')

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return 'a value that is no Error was thrown'
  const cause = error.cause === undefined ? '' : `\ncaused by ${describe(error.cause)}`
  return blotOut(`${error.stack ?? error.message}${cause}`)
}

/** Events as JSON lines. `write` takes one line without its line feed. */
export function createEvents(write: (line: string) => void, level: EventLevel, now: () => number): Events {
  const threshold = eventLevels.indexOf(level)
  const emit = (at: EventLevel, event: string, facts: Readonly<Record<string, unknown>> = {}): void => {
    if (eventLevels.indexOf(at) < threshold) return
    write(JSON.stringify({ at: new Date(now()).toISOString(), level: at, event, ...facts }))
  }
  return {
    started: (facts) => emit('info', 'started', facts),
    stopping: (facts) => emit('info', 'stopping', facts),
    stopped: () => emit('info', 'stopped'),
    requestAnswered: ({ method, route, status }) => {
      if (threshold === 0) emit('debug', 'request_answered', { method, route: route(), status })
    },
    requestFailed: ({ error, ...facts }) => emit('error', 'request_failed', { ...facts, error: describe(error) }),
    jobFailed: ({ error, ...facts }) => emit('error', 'job_failed', { ...facts, error: describe(error) }),
    databaseMigrated: (facts) => emit('info', 'database_migrated', facts),
    authoritiesCreated: (facts) => emit('info', 'authorities_created', facts),
    registrationStarted: (facts) => emit('info', 'registration_started', facts),
    registrationConfirmed: (facts) => emit('info', 'registration_confirmed', facts),
    registrationEnded: (facts) => emit('info', 'registration_ended', facts),
    deviceRegistered: (facts) => emit('info', 'device_registered', facts),
    certificateIssued: (facts) => emit('info', 'certificate_issued', facts),
    certificateRefused: (facts) => emit('error', 'certificate_refused', facts),
    certificatePublished: (facts) => emit('info', 'certificate_published', facts),
    certificateWithdrawn: (facts) => emit('info', 'certificate_withdrawn', facts),
    certificateRevoked: (facts) => emit('info', 'certificate_revoked', facts),
    keyBlocked: (facts) => emit('warn', 'key_blocked', facts),
    privateKeyRefused: (facts) => emit('warn', 'private_key_refused', facts),
    mailSent: (facts) => emit('info', 'mail_sent', facts),
    mailDelayed: ({ reason, ...facts }) => emit('warn', 'mail_delayed', { ...facts, reason: blotOut(reason) }),
    auditSealed: (facts) => emit('debug', 'audit_sealed', facts),
    rowsPruned: (facts) => emit('info', 'rows_pruned', facts),
  }
}
