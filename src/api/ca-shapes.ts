import { z } from 'zod'
import { caKinds, caSettings } from './ca-kinds/all.ts'
import { certificates, shortText } from './ca-kinds/common.ts'
import { caRevocationState, requestState } from './admin-shapes.ts'
import { accountType, certificateUse, pageQuery, revocationReason } from './shapes.ts'

/** The wire shapes of CA integration under `/v1/admin`: connections, routing rules, what operators and approvers do. */

const identifier = z.string().min(1).max(64)

/** The settings of a CA connection. */
export const caConnectionRequest = caSettings.meta({ id: 'CaConnectionRequest' })
export type CaConnectionRequest = z.output<typeof caConnectionRequest>
/** The CA inside, or one that others run. */
export const caKind = z.enum(['embedded', ...caKinds.map(({ kind }) => kind)])
export type CaKind = z.infer<typeof caKind>

/** The kinds of keys, as rules and questions name them. */
export const keyAlgorithm = z.enum(['rsa', 'ec', 'ed25519', 'x25519'])

/** The certificate (with its chain, PEM) that the owner of the CA made for the key of this connection. */
export const clientCertificateRequest = z
  .strictObject({ certificate: certificates })
  .meta({ id: 'ClientCertificateRequest' })

/**
 * A CA connection. `settings` are the given ones without secrets. The owner of the CA must be given `keyForCa`: the
 * service makes its own keys, and never shows the private part.
 */
export const caConnectionAnswer = z
  .object({
    id: z.string(),
    kind: caKind,
    name: z.string(),
    recipient: z.string(),
    country: z.string().nullable(),
    state: z.enum(['active', 'paused', 'removed']),
    version: z.number(),
    settings: z.record(z.string(), z.unknown()),
    credentials: z.enum(['none', 'kept', 'missing']),
    keyForCa: z.union([
      z.object({
        form: z.enum(['certificate-request', 'jwk']),
        value: z.string(),
        certificateUntil: z.string().nullable(),
      }),
      z.null(),
    ]),
    can: z.object({
      acceptPublicKeys: z.boolean(),
      algorithms: z.array(keyAlgorithm),
      revoke: z.boolean(),
      findLostOutcomes: z.boolean(),
      /** Whether names and extensions in a CSR are refused, because the CA would copy them. */
      refusesOtherContents: z.boolean(),
      byHand: z.boolean(),
    }),
    circuit: z.object({
      state: z.enum(['closed', 'open']),
      failures: z.number(),
      openUntil: z.string().nullable(),
      lastFailure: z.string().nullable(),
      lastFailureAt: z.string().nullable(),
      lastSuccessAt: z.string().nullable(),
    }),
    /** Requests that wait to be sent, that are at the CA, and that only an operator can settle. */
    requests: z.object({ waiting: z.number(), pending: z.number(), unknown: z.number() }),
    revocationLists: z.array(
      z.object({
        url: z.string(),
        thisUpdate: z.string().nullable(),
        nextUpdate: z.string().nullable(),
        appliedAt: z.string().nullable(),
        lastFailure: z.string().nullable(),
      }),
    ),
    createdAt: z.string(),
    createdBy: z.string(),
    changedAt: z.string(),
  })
  .meta({ id: 'CaConnectionAnswer' })
export type CaConnectionAnswer = z.infer<typeof caConnectionAnswer>

/**
 * The result of a connection test, which issues nothing. `facts` are also present if the CA is ready but would issue
 * what does not fit: `anchors_differ`, `profile_refused`.
 */
export const caCheckAnswer = z
  .object({
    ready: z.boolean(),
    failure: z.string().nullable(),
    caSaid: z.string().nullable(),
    facts: z.record(z.string(), z.string()),
  })
  .meta({ id: 'CaCheckAnswer' })
export type CaCheckAnswer = z.infer<typeof caCheckAnswer>

/** The highest position that a rule can have. */
export const lastPosition = 100_000

/** A field that is left out or null matches everything. The first matching rule by position decides. */
export const routingRuleRequest = z
  .strictObject({
    position: z.int().min(1).max(lastPosition),
    /** `example.com` matches that domain, `*.example.com` all below it. Kept in lower case, as A-labels. */
    domain: z.string().trim().min(1).max(255).nullable().default(null),
    // Not nullable(): in the OpenAPI document it would make the named shape itself nullable.
    accountType: z.union([accountType, z.null()]).default(null),
    use: z.union([certificateUse, z.null()]).default(null),
    algorithm: keyAlgorithm.nullable().default(null),
    /** Null: requests that match get no certificate here. */
    connectionId: identifier.nullable(),
    /** The CA profile. Null: that of the connection. */
    profile: shortText.nullable().default(null),
    /** How many people must approve: none, one, or two. Whoever wrote the rule does not count. */
    approvals: z.int().min(0).max(2).default(0),
  })
  .meta({ id: 'RoutingRuleRequest' })
export type RoutingRuleRequest = z.output<typeof routingRuleRequest>

export const routingRule = z
  .object({
    id: z.string(),
    position: z.number(),
    domain: z.string().nullable(),
    accountType: z.union([accountType, z.null()]),
    use: z.union([certificateUse, z.null()]),
    algorithm: keyAlgorithm.nullable(),
    connectionId: z.string().nullable(),
    profile: z.string().nullable(),
    approvals: z.number(),
    author: z.string(),
    createdAt: z.string(),
    changedAt: z.string(),
  })
  .meta({ id: 'RoutingRule' })
export type RoutingRule = z.infer<typeof routingRule>

/** Asks which rule would match a request. The mailbox need not exist. */
export const routingQuestion = z
  .strictObject({
    address: z.string().min(1).max(1_000),
    accountType: accountType.default('imap'),
    use: certificateUse,
    algorithm: keyAlgorithm,
    /** Whether the device would send a bare public key. */
    publicKey: z.boolean().default(false),
  })
  .meta({ id: 'RoutingQuestion' })
export const routingAnswer = z
  .object({
    /** Null if no rule matches. The request then goes to the embedded CA. */
    rule: z.union([routingRule, z.null()]),
    outcome: z.enum(['accepted', 'refused']),
    /** The code of the refusal, if it would be refused. */
    code: z.string().nullable(),
    connectionId: z.string().nullable(),
    connectionName: z.string().nullable(),
    connectionState: z.enum(['active', 'paused', 'removed']).nullable(),
    profile: z.string().nullable(),
    approvals: z.number(),
  })
  .meta({ id: 'RoutingAnswer' })

/** The certificate that the CA issued for a request, PEM. Its chain follows if the connection lacks it. */
export const broughtCertificate = z.strictObject({ certificate: certificates }).meta({ id: 'BroughtCertificate' })

/** An operator's answer for a request with unknown outcome: the CA has not issued. */
export const requestSettlement = z
  .strictObject({ outcome: z.enum(['submit_again', 'failed']) })
  .meta({ id: 'RequestSettlement' })

export const requestCsr = z
  .object({
    csr: z.string(),
    mailbox: z.string(),
    use: certificateUse,
    profile: z.string().nullable(),
    /** SHA-256 of the SPKI, to compare with what the CA shows. */
    spkiSha256: z.string(),
  })
  .meta({ id: 'RequestCsr' })
export type RequestCsr = z.infer<typeof requestCsr>

/** The person who made the request sees this. */
export const rejectionRequest = z
  .strictObject({ reason: z.string().trim().min(3, 'say in 3 characters or more why').max(500) })
  .meta({ id: 'RejectionRequest' })

/** The state of a request after somebody changed it. */
export const requestStanding = z
  .object({
    id: z.string(),
    state: requestState,
    reason: z.string().nullable(),
    certificateId: z.string().nullable(),
    approvals: z.object({ needed: z.number(), given: z.number() }),
  })
  .meta({ id: 'RequestStanding' })
export type RequestStanding = z.infer<typeof requestStanding>

/** The state of a request after a decision. `repeated`: this administrator had already decided the same. */
export const decidedRequest = requestStanding.extend({ repeated: z.boolean() }).meta({ id: 'DecidedRequest' })
export type DecidedRequest = z.infer<typeof decidedRequest>

/** A revocation that an external CA must be told of. */
export const caRevocation = z
  .object({
    id: z.string(),
    connectionId: z.string(),
    requestId: z.string(),
    /** Null if the certificate was never kept here. */
    certificateId: z.string().nullable(),
    serialNumber: z.string(),
    issuer: z.string(),
    reason: revocationReason.nullable(),
    state: caRevocationState,
    attempts: z.number(),
    lastFailure: z.string().nullable(),
    requestedAt: z.string(),
    confirmedAt: z.string().nullable(),
  })
  .meta({ id: 'CaRevocation' })
export type CaRevocationAnswer = z.infer<typeof caRevocation>

export const caRevocationQuery = pageQuery.extend({ state: caRevocationState.optional() })
