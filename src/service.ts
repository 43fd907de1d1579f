import { createApp, type ConnectionOf } from './app.ts'
import type { Check, Job, Room } from './api/room.ts'
import { createAuditRoom, type AuditRoom } from './audit/room.ts'
import type { Config } from './config.ts'
import { createConsentRoom } from './consent/room.ts'
import { createDirectoryRoom, type DirectoryRoom } from './directory/room.ts'
import { openAuthorities } from './enrolment/authorities.ts'
import { createEmbeddedCa } from './enrolment/ca/embedded.ts'
import { createEnrolmentRoom, type EnrolmentRoom } from './enrolment/room.ts'
import type { Events } from './events.ts'
import { createMailRoom } from './mail/room.ts'
import type { CertificateProfile } from './pki/profiles.ts'
import type { Database } from './ports/database.ts'
import type { Journal } from './ports/journal.ts'
import type { Keys, Sha256 } from './ports/keys.ts'
import type { Mailer } from './ports/mailer.ts'
import type { TableDeclaration } from './ports/personal-data.ts'
import type { DatabaseRole } from './ports/schema.ts'
import type { Background, Clock, Random } from './ports/runtime.ts'
import { createPrivacyRoom } from './privacy/room.ts'
import { createQueryLogRoom } from './query-log/room.ts'
import type { RecordLookup } from './query-log/record.ts'
import { createRegistrationRoom } from './registration/room.ts'
import { createStandardsRoom } from './standards/room.ts'

/** What a runtime gives: every effect that the rooms may have. */
export interface Adapters {
  readonly main: Database
  readonly journal: Journal
  readonly keys: Keys
  readonly sha256: Sha256
  readonly mailer: Mailer
  readonly crypto: Crypto
  /** What computes on brainpool curves, which Web Crypto lacks; null where the runtime has nothing. */
  readonly brainpool: Crypto | null
  readonly random: Random
  readonly clock: Clock
  readonly background: Background
  readonly events: Events
  readonly connectionOf: ConnectionOf
  /** Other databases whose columns must be declared, such as the keys on Workers. */
  readonly otherDatabases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  /** What makes the service usable but not as it should be; shown by `/readyz`. */
  readonly warnings: readonly string[]
}

/** The service: one HTTP face, jobs, declarations and invariants, whatever the runtime. */
export interface Service {
  readonly fetch: (request: Request, env?: object) => Response | Promise<Response>
  readonly jobs: readonly Job[]
  readonly personalData: readonly TableDeclaration[]
  /** Resolves to every broken invariant, in words; empty where all hold. */
  check(): Promise<string[]>
  readonly verifyAudit: AuditRoom['verify']
  /** What an administrator may have done by the command line. */
  readonly administration: Pick<EnrolmentRoom, 'revokeByAdministrator' | 'importBlocklist'>
}

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

/**
 * Gathers the rooms, once for all entries and tests. `recordLookup` replaces the query log: the bench measures with
 * it what the log costs, and nothing else may pass it.
 */
export async function createService(
  adapters: Adapters,
  config: Config,
  replaced: { recordLookup?: RecordLookup } = {},
): Promise<Service> {
  const { main: database, journal, crypto } = adapters
  const common = { ...adapters, database }
  const audit = createAuditRoom(common)
  const mail = createMailRoom({ ...common, mailFrom: config.mailFrom })
  const consent = createConsentRoom({ ...common, publicUrl: config.publicUrl })
  const registration = createRegistrationRoom({
    ...common,
    audit,
    mail,
    consent,
    mailLanguage: config.mailLanguage,
  })
  const { authenticate } = registration
  const queryLog = createQueryLogRoom({ ...common, authenticate, keptDays: config.queryLogDays })
  const profile = profileOf(config)
  const { pkiUrl, caKey } = config
  const authorities = await openAuthorities({ ...common, recordAudit: audit.record, caKey, profile, pkiUrl })
  const ca = await createEmbeddedCa({ crypto, authorities, profile, pkiUrl })
  const directory: DirectoryRoom = createDirectoryRoom({
    ...common,
    audit,
    consent,
    authenticate,
    recordLookup: replaced.recordLookup ?? queryLog.record,
    chainOf: (authority) => ca.chainOf(authority),
  })
  const enrolment = createEnrolmentRoom({
    ...common,
    audit,
    registration,
    ca,
    authorities,
    profile: config.caProfile,
    origin: new URL(config.publicUrl).origin,
    onCertificatesEnded: (ids) => directory.onCertificatesEnded(ids),
    onCertificateSuperseded: (old, successor) => directory.onCertificateSuperseded(old, successor),
    publishedAmong: (ids) => directory.publishedAmong(ids),
  })
  const standards = createStandardsRoom({
    clock: adapters.clock,
    certificateOf: (authority) => enrolment.certificateOf(authority),
    revocationListOf: (authority) => enrolment.revocationListOf(authority),
    answerOcsp: enrolment.answerOcsp,
  })
  const rooms: readonly Room[] = [audit, mail, consent, queryLog, registration, enrolment, directory, standards]
  const databases = [
    { role: 'main' as const, database },
    ...journal.shards().map((shard) => ({ role: 'journal' as const, database: shard })),
    ...adapters.otherDatabases,
  ]
  const privacy = createPrivacyRoom({ databases, declarations: rooms.flatMap((room) => room.personalData) })
  const all = [...rooms, privacy]
  const app = createApp({
    routes: all.flatMap((room) => room.routes),
    events: adapters.events,
    publicUrl: config.publicUrl,
    pkiUrl: config.pkiUrl,
    connectionOf: adapters.connectionOf,
    onPrivateKey: enrolment.blockDisclosedKey,
    databases,
    warnings: adapters.warnings,
  })
  return {
    fetch: (request, env) => app.fetch(request, env),
    jobs: all.flatMap((room) => room.jobs),
    personalData: all.flatMap((room) => room.personalData),
    check: () => runChecks(all.flatMap((room) => room.checks)),
    verifyAudit: (expectedHead) => audit.verify(expectedHead),
    administration: enrolment,
  }
}
