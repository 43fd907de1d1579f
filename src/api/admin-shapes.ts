import { z } from 'zod'
import { certificateUse, pageQuery, revocationReason } from './shapes.ts'
import { dayMilliseconds } from '../ports/time.ts'

/** The wire shapes of `/v1/admin`. Requests are closed, answers may grow, as in `shapes.ts`. */

/** A role of an administrator, who may have several. */
export const administratorRole = z
  .enum(['owner', 'operator', 'approver', 'privacy', 'auditor'])
  .meta({ id: 'AdministratorRole' })
export type AdministratorRole = z.infer<typeof administratorRole>

const name = z.string().trim().min(1).max(100)
const identifier = z.string().min(1).max(64)
const addressText = z.string().min(1).max(1_000)

const roles = z
  .array(administratorRole)
  .min(1)
  .max(5)
  .refine((named) => new Set(named).size === named.length, 'names a role twice')

/** Why somebody looks at a person's data. It is kept, sealed, in the audit log. */
const reason = z.string().trim().min(10, 'say in 10 characters or more why you look').max(500)
export const readingRequest = z.strictObject({ reason }).meta({ id: 'ReadingRequest' })

export const bootstrapRequest = z.strictObject({ name }).meta({ id: 'BootstrapRequest' })
export const administratorRequest = z.strictObject({ name, roles }).meta({ id: 'AdministratorRequest' })
export const administratorChange = z.strictObject({ roles }).meta({ id: 'AdministratorChange' })

/**
 * `name` is null after the name of an ended administrator was deleted. `createdBy` is an id, `command line` or
 * `bootstrap`.
 */
export const administratorAnswer = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    roles: z.array(administratorRole),
    state: z.enum(['active', 'expired', 'ended']),
    createdAt: z.string(),
    createdBy: z.string(),
    /** The day on which the credential was last used. */
    lastSeenAt: z.string(),
    endedAt: z.string().nullable(),
  })
  .meta({ id: 'AdministratorAnswer' })
export type AdministratorAnswer = z.infer<typeof administratorAnswer>

/** The credential is shown here and never again. */
export const administratorCredential = z
  .object({
    id: z.string(),
    roles: z.array(administratorRole),
    credential: z.string(),
  })
  .meta({ id: 'AdministratorCredential' })
export type AdministratorCredential = z.infer<typeof administratorCredential>

/** The calling administrator. The command line has no name, and its credential does not expire. */
export const administratorSelf = z
  .object({
    id: z.string(),
    name: z.string().nullable(),
    roles: z.array(administratorRole),
    /** When the credential expires if it is not used before. */
    credentialExpiresAt: z.string().nullable(),
  })
  .meta({ id: 'AdministratorSelf' })

/** The inner states of a certificate request. Subscribers see some of them as `pending`. */
export const requestState = z.enum([
  'received',
  'awaiting_mailbox_proof',
  'awaiting_approval',
  'submitting',
  'pending',
  'outcome_unknown',
  'issued',
  'rejected',
  'failed',
  'cancelled',
  'ended',
])

export const overviewAnswer = z
  .object({
    subscribers: z.number(),
    devices: z.number(),
    certificates: z.object({ valid: z.number() }),
    /** Only states that at least one request has. */
    certificateRequests: z.partialRecord(requestState, z.number()),
    mail: z.object({
      queued: z.number(),
      /** When the oldest queued mail was written. Long ago means that mail does not leave. */
      oldestQueuedAt: z.string().nullable(),
      /** Within the last two days. */
      givenUp: z.number(),
    }),
    /** Warnings about a service that is usable. Each says what to do. */
    warnings: z.array(z.string()),
  })
  .meta({ id: 'OverviewAnswer' })

export const subscriberSearch = z.strictObject({ address: addressText, reason }).meta({ id: 'SubscriberSearch' })

/** What is known about a subscriber, without keys and without the bytes of certificates. */
export const subscriberReading = z
  .object({
    id: z.string(),
    language: z.string(),
    createdAt: z.string(),
    restricted: z.boolean(),
    mailboxes: z.array(
      z.object({
        id: z.string(),
        address: z.string(),
        accountType: z.enum(['imap', 'exchange']),
        state: z.enum(['active', 'moved', 'removed']),
        verifiedAt: z.string(),
        createdAt: z.string(),
        endedAt: z.string().nullable(),
      }),
    ),
    devices: z.array(
      z.object({
        id: z.string(),
        state: z.enum(['active', 'ended']),
        appVersion: z.string(),
        deviceType: z.string(),
        osVersion: z.string(),
        language: z.string(),
        createdAt: z.string(),
        lastSeenAt: z.string(),
        endedAt: z.string().nullable(),
      }),
    ),
    /** The newest 200. */
    certificates: z.array(
      z.object({
        id: z.string(),
        mailboxId: z.string(),
        deviceId: z.string(),
        use: certificateUse,
        state: z.enum(['valid', 'superseded', 'revoked', 'expired']),
        published: z.boolean(),
        notBefore: z.string(),
        notAfter: z.string(),
      }),
    ),
  })
  .meta({ id: 'SubscriberReading' })
export type SubscriberReading = z.infer<typeof subscriberReading>

export const requestListQuery = pageQuery.extend({ state: requestState.optional() })

/** A request as a list shows it, by ids only. */
export const listedRequest = z
  .object({
    id: z.string(),
    state: requestState,
    use: certificateUse,
    reason: z.string().nullable(),
    subscriberId: z.string(),
    deviceId: z.string(),
    provedBy: z.enum(['csr', 'public_key']),
    connectionId: z.string(),
    /** Null if the connection was removed long ago. */
    connectionName: z.string().nullable(),
    /** The rule that matched it, or null. */
    ruleId: z.string().nullable(),
    attempts: z.number(),
    /** Why the CA did not issue at the last try. */
    lastFailure: z.string().nullable(),
    /** When it is tried again. Null if only a person can move it on, or if it is decided. */
    dueAt: z.string().nullable(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .meta({ id: 'ListedRequest' })
export type ListedRequest = z.infer<typeof listedRequest>

/** `mailbox`, `explanation`, `caSaid` and `returnedCertificate` are null for roles that do not work on requests. */
export const requestReading = listedRequest
  .extend({
    mailbox: z.string().nullable(),
    accountType: z.enum(['imap', 'exchange']),
    mailboxProvedAt: z.string(),
    subscriberSince: z.string(),
    deviceSince: z.string(),
    /** The key to certify: its kind, and SHA-256 of its SPKI. */
    key: z.object({ algorithm: z.string(), spkiSha256: z.string() }),
    /** The rule that matched it, and who had written the rule at that time. `state` and `position` are today's. */
    rule: z.union([
      z.object({
        id: z.string(),
        author: z.string(),
        position: z.number().nullable(),
        state: z.enum(['unchanged', 'changed', 'gone']),
      }),
      z.null(),
    ]),
    certificateId: z.string().nullable(),
    /** The CA profile that the rule names. */
    profile: z.string().nullable(),
    submittedAt: z.string().nullable(),
    waitsFor: z.enum(['ca_mailbox_challenge']).nullable(),
    /** Whether the CA may have issued, or may still issue, a certificate that is not kept here. */
    openAtCa: z.boolean(),
    approvals: z.object({
      needed: z.number(),
      given: z.array(
        z.object({ administratorId: z.string(), decision: z.enum(['approved', 'rejected']), at: z.string() }),
      ),
    }),
    /**
     * What an approver said, what the CA said last, and a certificate (PEM) that the CA returned and that was not kept.
     */
    explanation: z.string().nullable(),
    caSaid: z.string().nullable(),
    returnedCertificate: z.string().nullable(),
  })
  .meta({ id: 'RequestReading' })
export type RequestReading = z.infer<typeof requestReading>

/** SHA-256 or a serial number in hexadecimal. Capitals, colons and leading zeros are allowed, as tools print them. */
const hexadecimal = (most: number) =>
  z
    .string()
    .max(most * 2)
    .transform((value) => value.replaceAll(':', '').toLowerCase())
    .refine((value) => /^[0-9a-f]+$/.test(value) && value.length <= most, 'must be hexadecimal digits')

const serialNumber = hexadecimal(42).transform((digits) => {
  const bare = digits.replace(/^0+(?=.)/, '')
  return bare.length % 2 === 0 ? bare : `0${bare}`
})
const sha256 = hexadecimal(64).refine((digits) => digits.length === 64, 'must be 64 hexadecimal digits')

export const certificateSearch = z
  .union([z.strictObject({ serialNumber }), z.strictObject({ fingerprintSha256: sha256 })])
  .meta({ id: 'CertificateSearch' })
export type CertificateSearch = z.infer<typeof certificateSearch>

/** `by_hand`: the CA has no call for it. An operator revokes there and confirms it here. */
export const caRevocationState = z.enum(['waiting', 'by_hand', 'confirmed'])

/** A certificate without its bytes. `mailbox` is null for roles that only audit. */
export const certificateReading = z
  .object({
    id: z.string(),
    subscriberId: z.string(),
    deviceId: z.string(),
    requestId: z.string(),
    mailbox: z.string().nullable(),
    use: certificateUse,
    state: z.enum(['valid', 'superseded', 'revoked', 'expired']),
    published: z.boolean(),
    serialNumber: z.string(),
    fingerprintSha256: z.string(),
    issuer: z.string(),
    notBefore: z.string(),
    notAfter: z.string(),
    createdAt: z.string(),
    revokedAt: z.string().nullable(),
    /** Null if it is not revoked, if no reason was given, or if its CA no longer names one. */
    revocationReason: revocationReason.nullable(),
    /** The CA connection of its request. */
    connectionId: z.string(),
    /** What must still be told to its CA. Null for the embedded CA, and if there is nothing to tell. */
    caRevocation: z.union([z.object({ id: z.string(), state: caRevocationState }), z.null()]),
  })
  .meta({ id: 'CertificateReading' })
export type CertificateReading = z.infer<typeof certificateReading>

export const administratorRevocation = z
  .strictObject({ reason: revocationReason })
  .meta({ id: 'AdministratorRevocation' })

/** SHA-256 of an SPKI (64 digits), or Debian's short hash of a weak RSA modulus (20 digits). */
const keyFingerprint = z
  .string()
  .max(64)
  .regex(/^(?:[0-9a-f]{64}|[0-9a-f]{20})$/, 'must be 64 or 20 lower-case hexadecimal digits')
export const blocklistImportRequest = z
  .strictObject({ fingerprints: z.array(keyFingerprint).min(1).max(2_000) })
  .meta({ id: 'BlocklistImportRequest' })
/** `blocked`: how many of them are newly blocked. */
export const blocklistImportAnswer = z.object({ blocked: z.number() }).meta({ id: 'BlocklistImportAnswer' })

const time = z.iso.datetime().transform((value) => Date.parse(value))

/** Who asked, as the query log names them: the id of a subscriber, or a truncated network. It cannot be an address. */
const asker = z
  .string()
  .max(64)
  .regex(/^(?:[\w-]+|network:(?:[0-9a-f.:]+\/\d{2}|unknown))$/, 'must be the id of a subscriber, or network:…/24')

/**
 * Searches by who asked, by the address asked for, or both. Without `asker`, every row of the time has to be opened.
 */
export const queryLogSearch = z
  .strictObject({
    asker: asker.optional(),
    address: addressText.optional(),
    from: time,
    to: time,
    reason,
    limit: z.int().min(1).max(200).default(50),
    cursor: z.string().max(200).optional(),
  })
  .refine(({ asker, address }) => asker !== undefined || address !== undefined, 'name an asker, an address, or both')
  .refine(({ from, to }) => from < to, 'from must lie before to')
  .refine(
    ({ asker, from, to }) => to - from <= (asker === undefined ? 31 : 366) * dayMilliseconds,
    'ask for at most 31 days, or for 366 of one asker',
  )
  .meta({ id: 'QueryLogSearch' })
export type QueryLogSearch = z.infer<typeof queryLogSearch>

export const foundLookup = z
  .object({
    at: z.string(),
    asker: z.string(),
    deviceId: z.string().nullable(),
    address: z.string(),
    status: z.string(),
    interface: z.string(),
  })
  .meta({ id: 'FoundLookup' })

export const auditLogQuery = pageQuery.extend({
  action: z.string().max(64).optional(),
  subject: identifier.optional(),
  actor: identifier.optional(),
  from: time.optional(),
  to: time.optional(),
})

/** One entry, with ids and facts. `personal` names the values that some roles may read with a reason. */
export const auditLogEntry = z
  .object({
    id: z.string(),
    position: z.number(),
    at: z.string(),
    action: z.string(),
    actorKind: z.string(),
    actor: z.string().nullable(),
    subjectKind: z.string(),
    subject: z.string(),
    facts: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
    personal: z.array(z.string()),
  })
  .meta({ id: 'AuditLogEntry' })
export type AuditLogEntry = z.infer<typeof auditLogEntry>

/** The personal values of an entry. An erased one is null. */
export const auditLogReading = auditLogEntry
  .extend({ values: z.record(z.string(), z.string().nullable()) })
  .meta({ id: 'AuditLogReading' })

/** How many checkpoints one verification takes. */
export const checkpointsAtOnce = 100
const checkpointPattern = '(?:0|[1-9][0-9]{0,14}):[0-9a-f]{64}'

/**
 * `head`: a head that was kept elsewhere. It must still be part of the chain. `checkpoints`: sizes of the tree over the
 * seals, with its roots. It must have had them.
 */
export const auditVerificationQuery = z.strictObject({
  head: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits')
    .optional(),
  checkpoints: z
    .string()
    .regex(
      new RegExp(`^${checkpointPattern}(?:,${checkpointPattern}){0,${checkpointsAtOnce - 1}}$`),
      `must be at most ${checkpointsAtOnce} of <size>:<root in lower-case hexadecimal>, separated by commas`,
    )
    .optional(),
})
/** A checkpoint of the log as it is, a signed note, and the key that verifies it. Both are null without a note key. */
export const auditCheckpointAnswer = z
  .object({ verifierKey: z.string().nullable(), checkpoint: z.string().nullable() })
  .meta({ id: 'AuditCheckpointAnswer' })
export const auditVerificationAnswer = z
  .object({
    entries: z.number(),
    seals: z.number(),
    unsealed: z.number(),
    head: z.string().nullable(),
    faults: z.array(z.string()),
  })
  .meta({ id: 'AuditVerificationAnswer' })
