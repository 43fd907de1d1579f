import { createAuthentication, type Authentication } from './admin/authenticate.ts'
import { createAdminRoom } from './admin/room.ts'
import { admissionOfAdministrators, createAdminRoute, type AuthenticateAdministrator } from './api/admin-route.ts'
import { createApp, type Admission, type ConnectionOf } from './app.ts'
import { declaredRows, type RowsPerUnit } from './api/rows-left.ts'
import type { AuthenticateDevice, Check, Job, Room } from './api/room.ts'
import { commandLine } from './audit/entries.ts'
import { createAuditRoom, type AuditRoom } from './audit/room.ts'
import { workOfRoutes } from './api/work.ts'
import { createQueryLogDays } from './audit/query-log-days.ts'
import type { Config } from './config.ts'
import { createConsentRoom } from './consent/room.ts'
import { createDirectoryRoom, type DirectoryRoom } from './directory/room.ts'
import { createCaRoom } from './cas/room.ts'
import { createConnectionUses } from './requests/connection-uses/store.ts'
import { createRequestsRoom } from './requests/room.ts'
import type { AdoptedList } from './certificates/adopt-list.ts'
import type { Successor } from './certificates/deps.ts'
import { createCertificateRoom } from './certificates/room.ts'
import { mayReadWarnings, metricsRoutes } from './edge/metrics.ts'
import type { Events } from './events.ts'
import { createMailRoom } from './mail/room.ts'
import type { CertificateProfile } from './pki/profiles.ts'
import type { Command, Database } from './ports/database.ts'
import type { CheckIns } from './ports/check-ins.ts'
import type { Journal } from './ports/journal.ts'
import type { LookupLog } from './ports/lookup-log.ts'
import type { KeyProver } from './ports/key-prover.ts'
import type { Keys, Sha256 } from './ports/keys.ts'
import type { Mailer } from './ports/mailer.ts'
import type { CheckpointKeeper } from './ports/checkpoints.ts'
import type { NoteSigner } from './pki/signed-note.ts'
import type { OutgoingHttps } from './ports/outgoing-https.ts'
import { singleGauge, type Exposition, type Gauge } from './ports/meter.ts'
import type { TableDeclaration } from './ports/personal-data.ts'
import type { DatabaseRole } from './ports/schema.ts'
import type { Background, Clock, Random } from './ports/runtime.ts'
import type { DeclaredWork } from './ports/work.ts'
import { createPrivacyRoom } from './privacy/room.ts'
import { createQueryLogRoom, type QueryLogRoom } from './query-log/room.ts'
import { createRegistrationRoom } from './registration/room.ts'
import { createReportsRoom } from './reports/room.ts'
import { createStandardsRoom } from './standards/room.ts'

/** Everything that a runtime provides: all effects that the rooms may have. */
export interface Adapters {
  readonly main: Database
  readonly journal: Journal
  readonly lookupLog: LookupLog
  readonly checkIns: CheckIns
  readonly keys: Keys
  readonly sha256: Sha256
  readonly mailer: Mailer
  readonly outgoing: OutgoingHttps
  readonly crypto: Crypto
  /** Computes on brainpool curves, which Web Crypto does not have. Null if the runtime cannot. */
  readonly brainpool: Crypto | null
  readonly keyProver: KeyProver
  /** Signs checkpoints of the audit log. Null if there is no note key. */
  readonly noteSigner: NoteSigner | null
  /** Keeps them outside of the data. Null if they are kept nowhere. */
  readonly checkpointKeeper: CheckpointKeeper | null
  readonly random: Random
  readonly clock: Clock
  readonly background: Background
  readonly events: Events
  readonly connectionOf: ConnectionOf
  /** Other databases whose columns must be declared, such as the keys on Workers. */
  readonly otherDatabases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  /** Warnings of the runtime, shown by `/readyz`: the service works, but not as it should. */
  readonly warnings: () => readonly string[]
  /** Renders the figures. Null if the runtime has none. */
  readonly exposition: Exposition | null
  /** Figures of the runtime itself. */
  readonly gauges: () => readonly Gauge[]
}

/** What was done to bring an older copy of the data up to the present. */
interface AfterRestore {
  readonly mailsGivenUp: number
  /** Null where no list was given. */
  readonly revocations: AdoptedList | null
}

/** The service on any runtime: one HTTP face, jobs, declarations and invariants. */
export interface Service {
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>
  /** What a request asks for, by its method and path: by it, a runtime turns requests away where there are too many. */
  readonly workOf: (method: string, path: string) => DeclaredWork
  readonly jobs: readonly Job[]
  readonly personalData: readonly TableDeclaration[]
  /** Which rows each operation may leave, as its route declares. */
  readonly rowsLeft: ReadonlyMap<string, RowsPerUnit>
  /** Resolves to every broken invariant, in words. Empty if all hold. */
  check(): Promise<string[]>
  readonly verifyAudit: AuditRoom['verify']
  /** All warnings, as `/readyz` shows them, each with what to do. */
  warnings(): Promise<readonly string[]>
  /** The PKI_URL in the CA's own certificate. It may be an older one, and must stay reachable. */
  readonly namedPkiUrl: string
  /** Takes up what the last process left. Only for a process that knows that it is the only one. */
  resume(): Promise<void>
  /**
   * Prepares an older copy of the data for use. It gives up queued mails, because nobody knows whether they were sent
   * since. It issues new revocation lists, because the world knows newer ones than the copy has. `revocationList`: the
   * newest of those, if somebody kept it; what it names is revoked again. Throws `RevocationListRefused`.
   */
  afterRestore(backup: string, revocationList: Uint8Array | null): Promise<AfterRestore>
  /**
   * Notes in the audit log that a command is about to make a main secret or to replace the `data-key`, and that it has.
   * So a rotation that is cut between the ring and the log stands there too.
   */
  noteKeyRotation(step: 'begun' | 'done', key: string): Promise<void>
  /** How the command line acts as an administrator on the service's own files. */
  readonly administration: Pick<Authentication, 'localOperator'>
}

/** How long a caller waits for a CA. People and proxies wait that long; after it, the caller is told to ask again. */
const patienceMilliseconds = 8_000

const profileOf = (config: Config): CertificateProfile => {
  if (config.caProfile === 'sbr-strict') return { kind: 'sbr-strict' }
  if (config.caPolicyOid === null) throw new Error('the private profile has no policy OID')
  return { kind: 'private', policyOid: config.caPolicyOid }
}

const runChecks = async (checks: readonly Check[]): Promise<string[]> => {
  const found: string[] = []
  for (const check of checks) found.push(...(await check.run()).map((fault) => `${check.name}: ${fault}`))
  return found
}

/** Calls that come every few minutes from every client. Their callers are recognised once for each request. */
const oftenCalled: ReadonlySet<string> = new Set(['/v1/lookups', '/v1/check-ins'])

/** Who may call what, as far as the edge asks. A registration's secret belongs to one registration, which its route knows. */
const admissionOf =
  (administrators: AuthenticateAdministrator, devices: AuthenticateDevice): Admission =>
  ({ method, path, security }) => {
    const ofAdministrators = admissionOfAdministrators(administrators, method, path)
    if (ofAdministrators !== null) return ofAdministrators
    if (security.length === 0 || /^\/v1\/(admin|registrations)(\/|$)/.test(path)) return null
    const isAnyone = security.some((requirement) => Object.keys(requirement).length === 0)
    const once = oftenCalled.has(path)
    return async (authorization, request) => {
      if (isAnyone && authorization === undefined) return
      await devices(authorization, once ? request : undefined)
    }
  }

/** The warnings of all rooms. A room that fails adds a warning, and the others are still heard. */
const warningsOf = async (rooms: readonly Room[], events: Events): Promise<string[]> => {
  const found: string[] = []
  for (const room of rooms) {
    try {
      found.push(...((await room.warnings?.()) ?? []))
    } catch (error) {
      events.requestFailed({ method: 'GET', route: '/readyz', error })
      found.push('Something could not be checked; the log says why.')
    }
  }
  return found
}

/** Opens the rooms, for every entry and for tests. `patienceMilliseconds` is for tests of slow CAs. */
export async function createService(
  adapters: Adapters,
  config: Config,
  replaced: { patienceMilliseconds?: number } = {},
): Promise<Service> {
  const { main: database, journal, crypto } = adapters
  const common = { ...adapters, database }
  const audit = createAuditRoom({ ...common, queryLogDay: (day) => queryLog.digestOfDay(day) })
  const administrators = createAuthentication({ ...common, audit })
  const adminRoute = createAdminRoute(administrators.authenticate)
  const mail = createMailRoom({
    ...common,
    mailFrom: config.mailFrom,
    publicUrl: config.publicUrl,
    controller: config.controller,
  })
  const consent = createConsentRoom({ ...common, publicUrl: config.publicUrl })
  const registration = createRegistrationRoom({
    ...common,
    audit,
    mail,
    consent,
    mailLanguage: config.mailLanguage,
    onMailboxEnded: (mailbox) => [...directory.onMailboxEnded(mailbox), ...requests.onMailboxEnded(mailbox)],
    onDeviceEnded: (device) => [...directory.onDeviceEnded(device), ...requests.onDeviceEnded(device)],
    onMailboxProved: (mailbox) => requests.onMailboxProved(mailbox),
    onConsequencesDue: () => certificates.drawConsequencesSoon(),
  })
  const { authenticate } = registration
  const queryLog: QueryLogRoom = createQueryLogRoom({
    ...common,
    authenticate,
    keptDays: config.queryLogDays,
    days: createQueryLogDays({ ...common, audit }),
  })
  const profile = profileOf(config)
  const { pkiUrl, caKey, caName } = config
  const cas = await createCaRoom({
    ...common,
    audit,
    adminRoute,
    caKey,
    caName,
    profile,
    pkiUrl,
    uses: createConnectionUses(common),
    onConnectionResumed: (id) => requests.onConnectionResumed(id),
    onConnectionUsable: (id) => requests.wake(id),
  })
  const { authorities } = cas
  const directory: DirectoryRoom = createDirectoryRoom({
    ...common,
    audit,
    mail,
    consent,
    authenticate,
    announcementCommands: registration.announcementCommands,
    mailboxesOf: (subscriber) => registration.mailboxesOf(subscriber),
    membershipOf: (caller) => registration.membershipOf(caller),
    directoryAccess: config.directoryAccess,
    lookupBudgets: config.lookupBudgets,
    recordLookup: queryLog.record,
    chainOf: (authority) => cas.chainOf(authority),
  })
  const onCertificatesEnded = (ids: readonly string[]): Command[] => [
    ...directory.onCertificatesEnded(ids),
    ...requests.onCertificatesEnded(ids),
  ]
  const onCertificateSuperseded = async (old: string, successor: Successor): Promise<Command[]> => [
    ...(await directory.onCertificateSuperseded(old, successor)),
    ...requests.onCertificatesEnded([old]),
  ]
  const origin = new URL(config.publicUrl).origin
  const publishedAmong = (ids: readonly string[]) => directory.publishedAmong(ids)
  const certificates = createCertificateRoom({
    ...common,
    audit,
    mail,
    registration,
    connections: cas,
    authorities,
    adminRoute,
    origin,
    onCertificatesEnded,
    onCertificateSuperseded,
    isKeyRequested: (keyIndex) => requests.isKeyRequested(keyIndex),
    publishedAmong,
  })
  const requests = createRequestsRoom({
    ...common,
    adminRoute,
    audit,
    mail,
    registration,
    connections: cas,
    authorities,
    patienceMilliseconds: replaced.patienceMilliseconds ?? patienceMilliseconds,
    origin,
    onCertificatesEnded,
    onCertificateSuperseded,
    publishedAmong,
    tellCasSoon: certificates.tellCasSoon,
  })
  const reports = createReportsRoom({
    ...common,
    authenticate,
    certificatesToRenew: (device) => certificates.certificatesToRenew(device),
  })
  const admin = createAdminRoom({
    ...common,
    audit,
    queryLog,
    adminRoute,
    publishedAmong,
    bootstrapSha256: config.adminBootstrapSha256,
    warnings: () => warnings(),
  })
  const standards = createStandardsRoom({
    crypto,
    clock: adapters.clock,
    authorities: [
      { ...authorities.root, role: 'root' },
      { ...authorities.issuing, role: 'issuing' },
    ],
    certificateOf: (authority) => cas.certificateOf(authority),
    revocationListOf: (authority) => cas.revocationListOf(authority),
    answerOcsp: cas.answerOcsp,
  })
  const rooms: readonly Room[] = [
    audit,
    mail,
    consent,
    queryLog,
    registration,
    cas,
    certificates,
    requests,
    directory,
    reports,
    admin,
    standards,
  ]
  const databases = [
    { role: 'main' as const, database },
    ...journal.shards().map((shard) => ({ role: 'journal' as const, database: shard })),
    ...adapters.otherDatabases,
  ]
  const privacy = createPrivacyRoom({
    databases,
    declarations: rooms.flatMap((room) => room.personalData),
    clock: adapters.clock,
    facts: {
      controller: config.controller,
      dpoContact: config.dpoContact,
      supervisoryAuthority: config.supervisoryAuthority,
      queryLogDays: config.queryLogDays,
      directoryAccess: config.directoryAccess,
    },
    authorities: () => cas.recipients(),
  })
  const all = [...rooms, privacy]
  const warnings = async (): Promise<readonly string[]> => [
    ...adapters.warnings(),
    ...(await warningsOf(all, adapters.events)),
  ]
  const metrics = metricsRoutes({
    exposition: adapters.exposition,
    gauges: [
      ...adapters.gauges(),
      ...all.flatMap((room) => room.gauges ?? []),
      singleGauge('certbook_warnings', 'warnings that /readyz shows', async () => (await warnings()).length),
    ],
    token: config.metricsToken,
    sha256: adapters.sha256,
  })
  const app = createApp({
    routes: [...all.flatMap((room) => room.routes), metrics],
    events: adapters.events,
    clock: adapters.clock,
    publicUrl: config.publicUrl,
    plainPkiHosts: config.pkiPort === null ? [pkiUrl, authorities.namedPkiUrl].map((url) => new URL(url).host) : [],
    corsOrigins: config.corsOrigins,
    connectionOf: adapters.connectionOf,
    requestsAtOnce: config.trustedProxies.length > 0 ? config.connections.perNetwork : null,
    admission: admissionOf(administrators.authenticate, authenticate),
    onPrivateKey: certificates.blockDisclosedKey,
    databases,
    warnings,
    mayReadWarnings: (context) => mayReadWarnings(context, { token: config.metricsToken, sha256: adapters.sha256 }),
  })
  return {
    fetch: (request, env) => app.fetch(request, env),
    workOf: workOfRoutes(app),
    jobs: all.flatMap((room) => room.jobs),
    personalData: all.flatMap((room) => room.personalData),
    rowsLeft: declaredRows(all.flatMap((room) => room.routes)),
    check: () => runChecks(all.flatMap((room) => room.checks)),
    verifyAudit: (expectedHead, checkpoints) => audit.verify(expectedHead, checkpoints),
    namedPkiUrl: authorities.namedPkiUrl,
    warnings,
    resume: () => mail.resume(),
    afterRestore: async (backup, revocationList) => {
      const entry = { action: 'service.restored', actorKind: 'service', actor: null } as const
      const [givenUp] = await database.batch([
        mail.giveUpQueued(),
        ...requests.onRestored(),
        ...audit.record({ ...entry, subjectKind: 'backup', subject: backup }),
      ])
      const revocations = revocationList === null ? null : await certificates.adoptRevocationList(revocationList)
      await cas.reissueRevocationLists()
      audit.sealSoon()
      return { mailsGivenUp: givenUp?.changes ?? 0, revocations }
    },
    noteKeyRotation: async (step, key) => {
      const by = { actorKind: 'administrator', actor: commandLine } as const
      const action = step === 'begun' ? 'keys.rotation_begun' : 'keys.rotated'
      await database.batch(audit.record({ ...by, action, subjectKind: 'key', subject: key }))
      audit.sealSoon()
    },
    administration: administrators,
  }
}
