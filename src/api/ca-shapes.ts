import { z } from 'zod'
import { caRevocationState, requestState } from './admin-shapes.ts'
import { accountType, certificateUse, pageQuery, revocationReason } from './shapes.ts'

/** The wire shapes of CA integration under `/v1/admin`: connections, routing rules, what operators and approvers do. */

const shortText = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .refine((value) => !/[\p{Cc}\p{Bidi_Control}]/u.test(value), 'must be one line of plain text')
const identifier = z.string().min(1).max(64)

/** One or more certificates, PEM. */
const certificates = z.string().min(1).max(200_000)

const hasNoCredentials = (value: string): boolean => {
  if (!URL.canParse(value)) return true
  const { username, password } = new URL(value)
  return username === '' && password === ''
}

/**
 * Of a CA: TLS, or this machine itself. What stands before its paths; without credentials, query or fragment, not even
 * an empty one, which would make those paths a part of it.
 */
const baseUrl = z
  .string()
  .max(500)
  .refine(
    (value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol),
    'must be an https: URL, or http: on this machine',
  )
  .refine(
    (value) => !/[?#]/.test(value) && hasNoCredentials(value),
    'must have no user, password, query or fragment: credentials have fields of their own',
  )
  .transform((value) => (URL.canParse(value) ? new URL(value).href : value).replace(/\/+$/, ''))

const listUrl = z
  .string()
  .max(500)
  .refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), 'must be an http: or https: URL')
  .refine((value) => hasNoCredentials(value), 'must have no user and password: a list is for everybody')
  .transform((value) => (URL.canParse(value) ? new URL(value).href : value))

/** What every connection to a CA elsewhere has. */
const common = {
  /** By which administrators know it. */
  name: shortText,
  /** Who runs the CA, as the privacy page names the recipient. */
  recipient: shortText,
  /** ISO 3166-1 alpha-2. */
  country: z
    .string()
    .regex(/^[A-Z]{2}$/, 'must be two capital letters, such as DE')
    .nullable()
    .default(null),
  /** The key policy under which it issues. */
  keyPolicy: z.enum(['sbr-strict', 'private']).default('sbr-strict'),
  /** What issued certificates must lead to. */
  anchors: certificates,
  /** CAs between an anchor and its certificates, where the CA does not send them. */
  intermediates: certificates.nullable().default(null),
  /** Where the CA publishes its revocation lists. */
  revocationLists: z.array(listUrl).max(10).default([]),
}

/** What a CA that is reached over the network has beside. */
const remote = {
  ...common,
  url: baseUrl,
  /** What the CA's TLS is verified with, instead of the certificates that the runtime trusts. */
  tlsAnchors: certificates.nullable().default(null),
  timeoutSeconds: z.int().min(1).max(120).default(30),
}

/** The sender of the mail with which the CA itself has the mailbox prove something; null where it sends none. */
const mailboxChallenge = z.strictObject({ sender: shortText }).nullable().default(null)

const secret = z.string().min(1).max(1_000)

const cfsslSettings = z.strictObject({
  ...remote,
  kind: z.literal('cfssl'),
  /** The profile where a rule names none; null for the CA's default. */
  profile: shortText.nullable().default(null),
  label: shortText.nullable().default(null),
  /** False where every profile has a `CSRWhitelist` that takes nothing but the key: else CFSSL adds names of the CSR. */
  takesContentFromCsr: z.boolean().default(true),
  /** Of `authsign`; null for `sign`. Null in a change keeps the one that is there. */
  authKey: z
    .string()
    .regex(/^(?:[0-9a-fA-F]{2}){16,64}$/, 'must be 16 to 64 bytes in hexadecimal')
    .nullable()
    .default(null),
})

const stepCaSettings = z.strictObject({
  ...remote,
  kind: z.literal('step-ca'),
  /** The name of a JWK provisioner that holds the public key that this connection shows. */
  provisioner: shortText,
})

const password = z.strictObject({ user: secret, password: secret })

const estSettings = z.strictObject({
  ...remote,
  kind: z.literal('est'),
  /** The CA label in the path, RFC 7030 section 3.2.2. */
  label: z
    .string()
    .regex(/^[\w.-]{1,100}$/)
    .nullable()
    .default(null),
  authentication: z.enum(['password', 'client-certificate']),
  password: password.nullable().default(null),
  /** Whether the identical request, sent again, gets the certificate that was issued for it before. */
  answersAgain: z.boolean().default(false),
  mailboxChallenge,
})

const ejbcaSettings = z.strictObject({
  ...remote,
  kind: z.literal('ejbca'),
  certificateProfile: shortText,
  endEntityProfile: shortText,
  certificateAuthority: shortText,
  /** Whether its profiles take names and extensions from the CSR as signed. */
  takesContentFromCsr: z.boolean().default(true),
  authentication: z.enum(['token', 'client-certificate']),
  token: z.string().min(1).max(8_000).nullable().default(null),
  mailboxChallenge,
})

const manualSettings = z.strictObject({ ...common, kind: z.literal('manual'), mailboxChallenge })

/** A CA as it is set up. */
export const caConnectionRequest = z
  .discriminatedUnion('kind', [cfsslSettings, stepCaSettings, estSettings, ejbcaSettings, manualSettings])
  .meta({ id: 'CaConnectionRequest' })
export type CaConnectionRequest = z.output<typeof caConnectionRequest>
export type CfsslSettings = Extract<CaConnectionRequest, { kind: 'cfssl' }>
export type StepCaSettings = Extract<CaConnectionRequest, { kind: 'step-ca' }>
export type EstSettings = Extract<CaConnectionRequest, { kind: 'est' }>
export type EjbcaSettings = Extract<CaConnectionRequest, { kind: 'ejbca' }>
export type ManualSettings = Extract<CaConnectionRequest, { kind: 'manual' }>

export const caKind = z.enum(['embedded', 'cfssl', 'step-ca', 'est', 'ejbca', 'manual'])
export type CaKind = z.infer<typeof caKind>

/** The kinds of keys, as rules and questions name them. */
export const keyAlgorithm = z.enum(['rsa', 'ec', 'ed25519', 'x25519'])

/** The certificate (and its chain) that the CA's owner has made for the key of this connection, PEM. */
export const clientCertificateRequest = z
  .strictObject({ certificate: certificates })
  .meta({ id: 'ClientCertificateRequest' })

/**
 * A connection as it is. `settings` are those it was made with, without what is secret. `keyForCa` is what the CA's
 * owner has to be given: the service makes the keys that it authenticates with, and never shows the private part.
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
      /** Names and extensions in a CSR are refused, for the CA would take them as they are. */
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
    /** Requests that wait to be sent, that the CA has, and that only an operator can settle. */
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
 * What a look at the CA told; nothing was issued. `facts` are there too where the CA is ready and what it would issue
 * is not fit: `anchors_differ`, `profile_refused`.
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

/** What is left out or null fits everything. The first rule by position that fits a request decides. */
export const routingRuleRequest = z
  .strictObject({
    position: z.int().min(1).max(lastPosition),
    /** `example.com` alone, or `*.example.com` for what is below it; kept in lower case, as A-labels. */
    domain: z.string().trim().min(1).max(255).nullable().default(null),
    // Not nullable(): that would make the named shapes themselves nullable in the OpenAPI document.
    accountType: z.union([accountType, z.null()]).default(null),
    use: z.union([certificateUse, z.null()]).default(null),
    algorithm: keyAlgorithm.nullable().default(null),
    /** Null: what the rule catches gets no certificate here. */
    connectionId: identifier.nullable(),
    /** The CA's own profile; null for the connection's usual one. */
    profile: shortText.nullable().default(null),
    /** How many persons must approve: none, one, or two (neither of them who wrote the rule). */
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

/** Which rule would catch a request; nobody has to have that mailbox. */
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
    /** Null where no rule fits and the request goes to the CA inside. */
    rule: z.union([routingRule, z.null()]),
    outcome: z.enum(['accepted', 'refused']),
    /** The code with which it would be refused. */
    code: z.string().nullable(),
    connectionId: z.string().nullable(),
    connectionName: z.string().nullable(),
    connectionState: z.enum(['active', 'paused', 'removed']).nullable(),
    profile: z.string().nullable(),
    approvals: z.number(),
  })
  .meta({ id: 'RoutingAnswer' })

/** The certificate that the CA issued for a request, PEM, with its chain behind it where the connection lacks that. */
export const broughtCertificate = z.strictObject({ certificate: certificates }).meta({ id: 'BroughtCertificate' })

/** What an operator knows of a request whose outcome is unknown: the CA has not issued. */
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

/** Shown to the person whose request it was. */
export const rejectionRequest = z
  .strictObject({ reason: z.string().trim().min(3, 'say in 3 characters or more why').max(500) })
  .meta({ id: 'RejectionRequest' })

/** How a request stands after something was done to it. */
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

/** How a request stands after a decision; `repeated` where this administrator had said the same before. */
export const decidedRequest = requestStanding.extend({ repeated: z.boolean() }).meta({ id: 'DecidedRequest' })
export type DecidedRequest = z.infer<typeof decidedRequest>

/** A revocation that a CA elsewhere has to be told of. */
export const caRevocation = z
  .object({
    id: z.string(),
    connectionId: z.string(),
    requestId: z.string(),
    /** Null where the certificate was never kept here. */
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
