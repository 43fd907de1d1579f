/** How loud an event is. `debug` is for development and load tests. */
export const eventLevels = ['debug', 'info', 'warn', 'error'] as const
export type EventLevel = (typeof eventLevels)[number]

/**
 * Everything that the service says about itself, one function per event. No event takes an address, a secret or key
 * bytes; what an error's text may have picked up is blotted out before it is written.
 */
export interface Events {
  /** `listening`: the addresses that are bound, of the service and of PKI_PORT; empty where others listen for it. */
  started(facts: { url: string; runtime: string; listening: readonly string[] }): void
  tlsCertificateLoaded(facts: { expiresAt: string }): void
  /** The one before it stays in use. */
  tlsCertificateRefused(facts: { error: unknown }): void
  /** Certificates that are out name the old address, which must go on being served. */
  pkiUrlChanged(facts: { from: string; to: string }): void
  /** Beyond the limits of a listener: connections closed as they came, and readers cut that took too long. */
  clientsCut(facts: { listener: string; connections: number; readers: number }): void
  stopping(facts: { reason: string }): void
  stopped(): void
  /** `route` is asked for only where the event is written or counted: every request passes here. */
  requestAnswered(facts: { method: string; route: () => string; status: number; seconds: number }): void
  requestFailed(facts: { method: string; route: string; error: unknown }): void
  jobFailed(facts: { job: string; error: unknown }): void
  databaseMigrated(facts: { database: string; migrations: readonly string[] }): void
  authoritiesCreated(facts: { issuing: string }): void
  registrationStarted(facts: { registration: string }): void
  registrationConfirmed(facts: { registration: string }): void
  registrationEnded(facts: { registration: string; reason: string }): void
  deviceRegistered(facts: { subscriber: string; device: string }): void
  deviceEnded(facts: { device: string }): void
  /** By a token that was mailed to a subscriber's mailbox, or to one that became theirs by it. */
  mailboxProved(facts: { mailbox: string }): void
  /** Another subscriber has proved it: it left the one who had it. */
  mailboxMoved(facts: { mailbox: string }): void
  /** Nobody proved the mailbox of a request in time. */
  certificateRequestGivenUp(facts: { request: string }): void
  /** Approved as often as its rule wants, or rejected. */
  certificateRequestDecided(facts: { request: string; decision: 'approved' | 'rejected' }): void
  /** It was handed to the CA, and what became of it is not known. */
  certificateOutcomeUnknown(facts: { request: string; connection: string; failure: string }): void
  /** Nobody at the CA, or here, answered for too long. */
  certificateRequestExpired(facts: { request: string; state: string }): void
  certificateIssued(facts: { request: string; certificate: string }): void
  certificateRefused(facts: { request: string; reason: string }): void
  certificatePublished(facts: { certificate: string; audience: string }): void
  certificateWithdrawn(facts: { certificate: string }): void
  certificateRevoked(facts: { certificate: string; reason: string | null }): void
  /** A CA did not do what it was asked for. */
  caFailed(facts: { connection: string; failure: string }): void
  /** Nothing is sent to the CA until then. */
  caCircuitOpened(facts: { connection: string; failure: string; until: string }): void
  caCircuitClosed(facts: { connection: string }): void
  /** The CA of a certificate has confirmed that it is revoked. */
  caRevocationConfirmed(facts: { connection: string; revocation: string }): void
  caRevocationDelayed(facts: { connection: string; revocation: string; failure: string }): void
  /** A revocation list of a connected CA was applied. */
  caListApplied(facts: { connection: string; revoked: number }): void
  caListFailed(facts: { connection: string; failure: string }): void
  keyBlocked(facts: { source: string }): void
  privateKeyRefused(facts: { form: string; became: string }): void
  mailSent(facts: { mail: string; kind: string }): void
  /** No challenge was mailed, as too many went to that mailbox lately; who asked is not told. */
  mailWithheld(facts: { registration: string } | { mailbox: string }): void
  mailDelayed(facts: { mail: string; kind: string; reason: string; permanent: boolean }): void
  auditSealed(facts: { seal: number; entries: number }): void
  /** `of`: the kinds of scope that have nothing left. */
  lookupBudgetSpent(facts: { of: string }): void
  /** One call, by how many of its distinct addresses were found. */
  lookupAnswered(facts: { found: number; notFound: number }): void
  rowsPruned(facts: { table: string; rows: number }): void
}

/** What of an event is counted: by which of its fields. Each field has few values, and none of them names anybody. */
interface Counted {
  readonly means: string
  readonly labels: readonly string[]
}

/** The events that are counted, by their names in the log. */
export const countedEvents = {
  request_failed: { means: 'answers of 500 and above', labels: ['route'] },
  job_failed: { means: 'jobs that failed', labels: ['job'] },
  tls_certificate_refused: { means: 'TLS certificates that could not be used', labels: [] },
  registration_started: { means: 'registrations begun', labels: [] },
  registration_confirmed: { means: 'mailboxes proved in a registration', labels: [] },
  registration_ended: { means: 'registrations that ended without a device', labels: ['reason'] },
  device_registered: { means: 'devices registered', labels: [] },
  device_ended: { means: 'devices ended by their subscribers', labels: [] },
  mailbox_proved: { means: 'mailboxes that a subscriber proved', labels: [] },
  mailbox_moved: { means: 'mailboxes that left a subscriber for another', labels: [] },
  certificate_request_given_up: { means: 'requests whose mailbox nobody proved in time', labels: [] },
  certificate_request_decided: { means: 'requests approved or rejected', labels: ['decision'] },
  certificate_outcome_unknown: { means: 'requests whose outcome at the CA became unknown', labels: ['failure'] },
  certificate_request_expired: { means: 'requests given up because nobody answered', labels: ['state'] },
  ca_failed: { means: 'calls of a CA that failed', labels: ['connection', 'failure'] },
  ca_circuit_opened: { means: 'times that nothing was sent to a CA for a while', labels: ['connection'] },
  ca_revocation_confirmed: { means: 'revocations that the CA confirmed', labels: ['connection'] },
  ca_revocation_delayed: { means: 'revocations that the CA did not confirm', labels: ['connection', 'failure'] },
  ca_list_applied: { means: 'revocation lists of connected CAs applied', labels: ['connection'] },
  ca_list_failed: {
    means: 'revocation lists of connected CAs that could not be used',
    labels: ['connection', 'failure'],
  },
  certificate_issued: { means: 'certificates issued', labels: [] },
  certificate_refused: { means: 'certificates that a CA returned and the service did not keep', labels: [] },
  certificate_published: { means: 'certificates published', labels: ['audience'] },
  certificate_withdrawn: { means: 'certificates withdrawn', labels: [] },
  certificate_revoked: { means: 'certificates revoked', labels: ['reason'] },
  key_blocked: { means: 'keys put on the blocklist', labels: ['source'] },
  private_key_refused: { means: 'bodies refused for a private key', labels: ['form', 'became'] },
  mail_sent: { means: 'mails handed over', labels: ['kind'] },
  mail_delayed: { means: 'mails that could not be handed over', labels: ['kind', 'permanent'] },
  mail_withheld: { means: 'challenges not mailed, as too many went to the mailbox', labels: [] },
  lookup_budget_spent: { means: 'lookups refused for a spent budget', labels: ['of'] },
  lookup_answered: { means: 'lookups answered', labels: [] },
  lookup_address: { means: 'distinct addresses looked up', labels: ['status'] },
  rows_pruned: { means: 'rows deleted when their time was over', labels: ['table'] },
} as const satisfies Readonly<Record<string, Counted>>
export type CountedEvent = keyof typeof countedEvents

/** Counts what happens, for a monitoring system. */
export interface Meter {
  /** `labels`: those that `countedEvents` names for the event. */
  count(event: CountedEvent, labels: Readonly<Record<string, string>>, amount: number): void
  requestAnswered(facts: { method: string; route: string; status: number; seconds: number }): void
}

const isCounted = (event: string): event is CountedEvent => Object.hasOwn(countedEvents, event)

const labelsOf = (event: CountedEvent, facts: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    countedEvents[event].labels.map((name) => {
      const value = facts[name]
      return [name, typeof value === 'string' || typeof value === 'boolean' ? String(value) : 'none']
    }),
  )

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

/**
 * Events as JSON lines, and as counts where there is a meter, whatever the level. `write` takes one line without its
 * line feed.
 */
export function createEvents(
  write: (line: string) => void,
  level: EventLevel,
  now: () => number,
  meter: Meter | null = null,
): Events {
  const threshold = eventLevels.indexOf(level)
  const emit = (at: EventLevel, event: string, facts: Readonly<Record<string, unknown>> = {}, amount = 1): void => {
    if (meter !== null && isCounted(event)) meter.count(event, labelsOf(event, facts), amount)
    if (eventLevels.indexOf(at) < threshold) return
    write(JSON.stringify({ at: new Date(now()).toISOString(), level: at, event, ...facts }))
  }
  return {
    started: (facts) => emit('info', 'started', facts),
    tlsCertificateLoaded: (facts) => emit('info', 'tls_certificate_loaded', facts),
    tlsCertificateRefused: ({ error }) => emit('error', 'tls_certificate_refused', { error: describe(error) }),
    pkiUrlChanged: (facts) => emit('warn', 'pki_url_changed', facts),
    clientsCut: (facts) => emit('warn', 'clients_cut', facts),
    stopping: (facts) => emit('info', 'stopping', facts),
    stopped: () => emit('info', 'stopped'),
    requestAnswered: ({ method, route, status, seconds }) => {
      if (threshold === 0) emit('debug', 'request_answered', { method, route: route(), status })
      meter?.requestAnswered({ method, route: route(), status, seconds })
    },
    requestFailed: ({ error, ...facts }) => emit('error', 'request_failed', { ...facts, error: describe(error) }),
    jobFailed: ({ error, ...facts }) => emit('error', 'job_failed', { ...facts, error: describe(error) }),
    databaseMigrated: (facts) => emit('info', 'database_migrated', facts),
    authoritiesCreated: (facts) => emit('info', 'authorities_created', facts),
    registrationStarted: (facts) => emit('info', 'registration_started', facts),
    registrationConfirmed: (facts) => emit('info', 'registration_confirmed', facts),
    registrationEnded: (facts) => emit('info', 'registration_ended', facts),
    deviceRegistered: (facts) => emit('info', 'device_registered', facts),
    deviceEnded: (facts) => emit('info', 'device_ended', facts),
    mailboxProved: (facts) => emit('info', 'mailbox_proved', facts),
    mailboxMoved: (facts) => emit('warn', 'mailbox_moved', facts),
    certificateRequestGivenUp: (facts) => emit('info', 'certificate_request_given_up', facts),
    certificateRequestDecided: (facts) => emit('info', 'certificate_request_decided', facts),
    certificateOutcomeUnknown: (facts) => emit('error', 'certificate_outcome_unknown', facts),
    certificateRequestExpired: (facts) => emit('warn', 'certificate_request_expired', facts),
    caFailed: (facts) => emit('warn', 'ca_failed', facts),
    caCircuitOpened: (facts) => emit('error', 'ca_circuit_opened', facts),
    caCircuitClosed: (facts) => emit('info', 'ca_circuit_closed', facts),
    caRevocationConfirmed: (facts) => emit('info', 'ca_revocation_confirmed', facts),
    caRevocationDelayed: (facts) => emit('warn', 'ca_revocation_delayed', facts),
    caListApplied: (facts) => emit('info', 'ca_list_applied', facts),
    caListFailed: (facts) => emit('warn', 'ca_list_failed', facts),
    certificateIssued: (facts) => emit('info', 'certificate_issued', facts),
    certificateRefused: (facts) => emit('error', 'certificate_refused', facts),
    certificatePublished: (facts) => emit('info', 'certificate_published', facts),
    certificateWithdrawn: (facts) => emit('info', 'certificate_withdrawn', facts),
    certificateRevoked: (facts) => emit('info', 'certificate_revoked', facts),
    keyBlocked: (facts) => emit('warn', 'key_blocked', facts),
    privateKeyRefused: (facts) => emit('warn', 'private_key_refused', facts),
    mailSent: (facts) => emit('info', 'mail_sent', facts),
    mailWithheld: (facts) => emit('info', 'mail_withheld', facts),
    mailDelayed: ({ reason, ...facts }) => emit('warn', 'mail_delayed', { ...facts, reason: blotOut(reason) }),
    auditSealed: (facts) => emit('debug', 'audit_sealed', facts),
    lookupBudgetSpent: (facts) => emit('warn', 'lookup_budget_spent', facts),
    lookupAnswered: ({ found, notFound }) => {
      emit('debug', 'lookup_answered', { found, notFound })
      meter?.count('lookup_address', { status: 'found' }, found)
      meter?.count('lookup_address', { status: 'not_found' }, notFound)
    },
    rowsPruned: (facts) => emit('info', 'rows_pruned', facts, facts.rows),
  }
}
