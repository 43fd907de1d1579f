/** How loud an event is. `debug` is for development and load tests. */
export const eventLevels = ['debug', 'info', 'warn', 'error'] as const
export type EventLevel = (typeof eventLevels)[number]

/** What of an event is counted, and by which of its facts. Each of these has few values, and none names anybody. */
interface Counted {
  readonly means: string
  readonly labels: readonly string[]
}

/** One kind of event. `takes` exists for the type only. */
interface EventKind<Facts> {
  readonly level: EventLevel
  readonly counted: Counted | null
  readonly takes?: (facts: Facts) => void
}

/** Makes a kind of event of one level. With `means` it is also counted, by the facts that are named after it. */
const eventAt =
  (level: EventLevel) =>
  <Facts = void>(means?: string, ...labels: (keyof Facts & string)[]): EventKind<Facts> => ({
    level,
    counted: means === undefined ? null : { means, labels },
  })
const [debug, info, warn, error] = [eventAt('debug'), eventAt('info'), eventAt('warn'), eventAt('error')]

type Texts<Name extends string> = Readonly<Record<Name, string>>

/**
 * Everything that the service says about itself. Each event is a line in the log, named as here in snake case. No event
 * takes an address, a secret or key bytes. If the text of an error holds one, it is removed before it is written.
 */
const kinds = {
  /** `listening`: the bound addresses, of the service and of PKI_PORT. Empty if somebody else listens for it. */
  started: info<{ url: string; runtime: string; listening: readonly string[] }>(),
  tlsCertificateLoaded: info<Texts<'expiresAt'>>(),
  /** The certificate before it stays in use. */
  tlsCertificateRefused: error<{ error: unknown }>('TLS certificates that could not be used'),
  /** Issued certificates name the old address, which must still be served. */
  pkiUrlChanged: warn<Texts<'from' | 'to'>>(),
  /** Over the limits of a listener: connections that were closed at once, and readers that took too long. */
  clientsCut: warn<{ listener: string; connections: number; readers: number }>(),
  /** Since the last such event, because too many waited or the service was slow. */
  requestsShed: warn<{ work: string; requests: number }>('requests turned away unread, by what they asked for', 'work'),
  stopping: info<Texts<'reason'>>(),
  stopped: info(),
  /** Of answers of 503 only the first with a cause in each minute. */
  requestFailed: error<{ method: string; route: string; error: unknown }>('answers of 500 and above', 'route'),
  requestTurnedAway: debug<Texts<'method' | 'route' | 'code'>>('answers of 503', 'route', 'code'),
  jobFailed: error<{ job: string; error: unknown }>('jobs that failed', 'job'),
  databaseMigrated: info<{ database: string; migrations: readonly string[] }>(),
  authoritiesCreated: info<Texts<'issuing'>>(),
  registrationStarted: info<Texts<'registration'>>('registrations begun'),
  registrationConfirmed: info<Texts<'registration'>>('mailboxes proved in a registration'),
  registrationEnded: info<Texts<'registration' | 'reason'>>('registrations that ended without a device', 'reason'),
  deviceRegistered: info<Texts<'subscriber' | 'device'>>('devices registered'),
  deviceEnded: info<Texts<'device'>>('devices ended by their subscribers'),
  /** By a token that was mailed to a subscriber's mailbox, or to one that the token made theirs. */
  mailboxProved: info<Texts<'mailbox'>>('mailboxes that a subscriber proved'),
  /** Another subscriber has proved it, so the one before has lost it. */
  mailboxMoved: warn<Texts<'mailbox'>>('mailboxes that left a subscriber for another'),
  certificateRequestGivenUp: info<Texts<'request'>>('requests whose mailbox nobody proved in time'),
  /** `approved`: as often as its rule requires. */
  certificateRequestDecided: info<{ request: string; decision: 'approved' | 'rejected' }>(
    'requests approved or rejected',
    'decision',
  ),
  /** The CA got the request, and nobody knows what it did. */
  certificateOutcomeUnknown: error<Texts<'request' | 'connection' | 'failure'>>(
    'requests whose outcome at the CA became unknown',
    'failure',
  ),
  /** Nobody answered for too long, here or at the CA. */
  certificateRequestExpired: warn<Texts<'request' | 'state'>>('requests given up because nobody answered', 'state'),
  certificateIssued: info<Texts<'request' | 'certificate'>>('certificates issued'),
  certificateRefused: error<Texts<'request' | 'reason'>>(
    'certificates that a CA returned and the service did not keep',
  ),
  certificatePublished: info<Texts<'certificate' | 'audience'>>('certificates published', 'audience'),
  certificateWithdrawn: info<Texts<'certificate'>>('certificates withdrawn'),
  certificateRevoked: info<{ certificate: string; reason: string | null }>('certificates revoked', 'reason'),
  caFailed: warn<Texts<'connection' | 'failure'>>('calls of a CA that failed', 'connection', 'failure'),
  /** Nothing is sent to the CA before `until`. */
  caCircuitOpened: error<Texts<'connection' | 'failure' | 'until'>>(
    'times that nothing was sent to a CA for a while',
    'connection',
  ),
  caCircuitClosed: info<Texts<'connection'>>(),
  caRevocationConfirmed: info<Texts<'connection' | 'revocation'>>('revocations that the CA confirmed', 'connection'),
  caRevocationDelayed: warn<Texts<'connection' | 'revocation' | 'failure'>>(
    'revocations that the CA did not confirm',
    'connection',
    'failure',
  ),
  caListApplied: info<{ connection: string; revoked: number }>(
    'revocation lists of connected CAs applied',
    'connection',
  ),
  caListFailed: warn<Texts<'connection' | 'failure'>>(
    'revocation lists of connected CAs that could not be used',
    'connection',
    'failure',
  ),
  /** A row grants something, and somebody without the key ring wrote it: it counts as absent. */
  authorityRefused: error<Texts<'table' | 'row'>>(
    'rows that would grant something and whose MAC does not fit',
    'table',
  ),
  /** It is not known here, so it is blocked for as long as there is room. */
  unknownKeyBlocked: info<Texts<'source'>>('compromised keys that are not known here', 'source'),
  keyBlocked: warn<Texts<'source'>>('keys put on the blocklist', 'source'),
  privateKeyRefused: warn<Texts<'form' | 'became'>>('bodies refused for a private key', 'form', 'became'),
  mailSent: info<Texts<'mail' | 'kind'>>('mails handed over', 'kind'),
  /** Too many challenges went to that mailbox lately. Whoever asked is not told. */
  mailWithheld: info<{ registration: string } | { mailbox: string }>(
    'challenges not mailed, as too many went to the mailbox',
  ),
  mailDelayed: warn<{ mail: string; kind: string; reason: string; permanent: boolean }>(
    'mails that could not be handed over',
    'kind',
    'permanent',
  ),
  /** `verifierKey`: verifies the checkpoints of the audit log. Keep it in another place. */
  auditNoteKeyMade: info<Texts<'verifierKey'>>(),
  auditCheckpointKept: info<{ size: number }>(),
  auditSealed: debug<{ seal: number; entries: number }>(),
  /** `of`: the kinds of budget that are used up. */
  lookupBudgetSpent: warn<Texts<'of'>>('lookups refused for a spent budget', 'of'),
  /** How many of the distinct addresses of one call were found. */
  lookupAnswered: debug<{ found: number; notFound: number }>('lookups answered'),
  rowsPruned: info<{ table: string; rows: number }>('rows deleted when their time was over', 'table'),
}

type LoggedEvents = {
  readonly [K in keyof typeof kinds]: (typeof kinds)[K] extends EventKind<infer Facts> ? (facts: Facts) => void : never
}

export interface Events extends LoggedEvents {
  /** Every request passes here, so `route` is called only if the event is written or counted. */
  requestAnswered(facts: { method: string; route: () => string; status: number; seconds: number }): void
}

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** What is counted, by the names in the log. */
export const countedEvents: Readonly<Record<string, Counted>> = {
  ...Object.fromEntries(
    Object.entries(kinds).flatMap(([name, { counted }]) => (counted === null ? [] : [[snakeCase(name), counted]])),
  ),
  lookup_address: { means: 'distinct addresses looked up', labels: ['status'] },
}

/** Counts what happens, for a monitoring system. */
export interface Meter {
  /** `event` is a name of `countedEvents`, and `labels` are those that stand there. */
  count(event: string, labels: Readonly<Record<string, string>>, amount: number): void
  requestAnswered(facts: { method: string; route: string; status: number; seconds: number }): void
}

type Facts = Readonly<Record<string, unknown>>

const labelsOf = ({ labels }: Counted, facts: Facts): Record<string, string> =>
  Object.fromEntries(
    labels.map((name) => {
      const value = facts[name]
      return [name, typeof value === 'string' || typeof value === 'boolean' ? String(value) : 'none']
    }),
  )

const addressLike = /[^\s"'<>(),;:\\/]+@[^\s"'<>(),;:\\/]+/g
const pemLike = /-----BEGIN[\s\S]*?(-----END[^-]*-----|$)/g
const credentialLike = /cb_[a-z]+_[\w-]+/g

/** Removes what must not be in a log, whoever put it into the text. */
const blotOut = (text: string): string =>
  text.replace(pemLike, '[pem]').replace(credentialLike, '[credential]').replace(addressLike, '[address]')

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return 'a value that is no Error was thrown'
  const cause = error.cause === undefined ? '' : `\ncaused by ${describe(error.cause)}`
  return blotOut(`${error.stack ?? error.message}${cause}`)
}

/** Facts as they are written. The texts of errors, and reasons that other systems gave, may hold anything. */
const written = (facts: Facts): Facts =>
  Object.fromEntries(
    Object.entries(facts).map(([name, value]) => {
      if (name === 'error') return [name, describe(value)]
      return [name, name === 'reason' && typeof value === 'string' ? blotOut(value) : value]
    }),
  )

type Emit = (name: string, kind: EventKind<never>, facts: Facts) => void

/** One function per kind of event, as `LoggedEvents` says. */
function eventFunctions(emit: Emit): LoggedEvents
function eventFunctions(emit: Emit): Readonly<Record<string, (facts: never) => void>> {
  return Object.fromEntries(
    Object.entries(kinds).map(([kindName, kind]) => {
      const name = snakeCase(kindName)
      return [kindName, (facts: Facts = {}) => emit(name, kind, facts)]
    }),
  )
}

/**
 * Events as JSON lines, from `level` on. With a meter they are also counted, at every level. `write` takes one line
 * without its line feed.
 */
export function createEvents(
  write: (line: string) => void,
  level: EventLevel,
  now: () => number,
  meter: Meter | null = null,
): Events {
  const threshold = eventLevels.indexOf(level)
  const log = (at: EventLevel, name: string, facts: Facts): void => {
    if (eventLevels.indexOf(at) < threshold) return
    write(JSON.stringify({ at: new Date(now()).toISOString(), level: at, event: name, ...written(facts) }))
  }
  const logged = eventFunctions((name, kind, facts) => {
    const { counted, level: at } = kind
    // An event that tells of rows or requests counts for each of them.
    const several = facts['rows'] ?? facts['requests']
    const amount = typeof several === 'number' ? several : 1
    if (counted !== null) meter?.count(name, labelsOf(counted, facts), amount)
    log(at, name, facts)
  })
  return {
    ...logged,
    requestAnswered: ({ method, route, status, seconds }) => {
      if (threshold === 0) log('debug', 'request_answered', { method, route: route(), status })
      meter?.requestAnswered({ method, route: route(), status, seconds })
    },
    lookupAnswered: ({ found, notFound }) => {
      logged.lookupAnswered({ found, notFound })
      meter?.count('lookup_address', { status: 'found' }, found)
      meter?.count('lookup_address', { status: 'not_found' }, notFound)
    },
  }
}
