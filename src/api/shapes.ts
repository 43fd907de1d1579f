// A namespace import: otherwise a bundle of the client library holds all of zod with all its languages.
import * as z from 'zod'

/**
 * The wire shapes of `/v1`, shared by the service and its clients. Requests are closed: an unknown field is refused,
 * so that nothing the privacy disclosures do not name is ever sent in. Answers may grow.
 */

/** Longer than any address of RFC 5321, and short enough to refuse a flood early. */
const addressText = z.string().min(1).max(1_000)
const shortText = z.string().min(1).max(100)

export const accountType = z.enum(['imap', 'exchange']).meta({ id: 'AccountType' })
export type AccountType = z.infer<typeof accountType>

export const certificateUse = z.enum(['sign', 'encrypt', 'dual']).meta({ id: 'CertificateUse' })
export type CertificateUse = z.infer<typeof certificateUse>

const audience = z.enum(['members', 'public']).meta({ id: 'Audience' })
export type Audience = z.infer<typeof audience>

/** The device facts that the disclosures name. Nothing else is taken. */
export const deviceFacts = z
  .strictObject({
    appVersion: shortText,
    deviceType: shortText,
    osVersion: shortText,
    language: z
      .string()
      .regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8})*$/, 'must be a language tag (RFC 5646)')
      .max(35),
    serialNumber: shortText.nullable(),
  })
  .meta({ id: 'DeviceFacts' })
export type DeviceFacts = z.infer<typeof deviceFacts>

export const registrationRequest = z
  .strictObject({
    email: addressText,
    accountType,
    policyVersion: shortText,
    device: deviceFacts,
  })
  .meta({ id: 'RegistrationRequest' })
export type RegistrationRequest = z.infer<typeof registrationRequest>

export const registrationAnswer = z
  .object({
    id: z.string(),
    deviceSecret: z.string(),
    userCode: z.string(),
    expiresAt: z.string(),
  })
  .meta({ id: 'RegistrationAnswer' })

export const confirmationRequest = z
  .strictObject({ token: z.string().min(1).max(200) })
  .meta({ id: 'ConfirmationRequest' })
export const confirmationAnswer = z.object({ state: z.literal('confirmed') }).meta({ id: 'ConfirmationAnswer' })
export const registrationState = z
  .object({ state: z.enum(['pending', 'confirmed', 'ended']) })
  .meta({ id: 'RegistrationState' })
/** The body is optional. Without waiting, the device takes the mailbox over from its subscriber. */
export const credentialRequest = z
  .strictObject({ waitForApproval: z.boolean().optional() })
  .meta({ id: 'CredentialRequest' })
export const credentialAnswer = z
  .object({
    subscriberId: z.string(),
    deviceId: z.string(),
    mailbox: z.string(),
    credential: z.string(),
  })
  .meta({ id: 'CredentialAnswer' })

/** What the page behind a mailed link sends: the token of the link, and later the code that the device shows. */
export const linkFactsRequest = z.strictObject({ token: z.string().min(1).max(200) }).meta({ id: 'LinkFactsRequest' })
export const linkConfirmationRequest = z
  .strictObject({
    token: z.string().min(1).max(200),
    userCode: z.string().min(1).max(20),
  })
  .meta({ id: 'LinkConfirmationRequest' })
export const linkFactsAnswer = z
  .object({
    deviceType: z.string(),
    appVersion: z.string(),
    osVersion: z.string(),
    startedAt: z.string(),
  })
  .meta({ id: 'LinkFactsAnswer' })

export const policyAnswer = z
  .object({
    version: z.string(),
    effectiveAt: z.string(),
    terms: z.object({ language: z.string(), url: z.string(), sha256: z.string() }),
    consents: z.object({
      publication: z.object({ version: z.string(), text: z.string(), sha256: z.string() }),
      crashReports: z.object({ version: z.string(), text: z.string(), sha256: z.string() }),
    }),
    next: z.null(),
  })
  .meta({ id: 'PolicyAnswer' })

/** A mailbox of the asking subscriber. `moved`: another subscriber has proved it. */
export const ownMailbox = z
  .object({
    id: z.string(),
    address: z.string(),
    accountType,
    state: z.enum(['active', 'moved']),
    verifiedAt: z.string(),
    createdAt: z.string(),
  })
  .meta({ id: 'OwnMailbox' })

export const subscriberAnswer = z
  .object({
    subscriberId: z.string(),
    deviceId: z.string(),
    language: z.string(),
    createdAt: z.string(),
    restricted: z.boolean(),
    mailboxes: z.array(ownMailbox),
  })
  .meta({ id: 'SubscriberAnswer' })
export const subscriberChange = z
  .strictObject({ language: deviceFacts.shape.language })
  .meta({ id: 'SubscriberChange' })

export const mailboxRequest = z.strictObject({ email: addressText, accountType }).meta({ id: 'MailboxRequest' })
/** What a device does only after it has proved a mailbox of its subscriber for this within the last 15 minutes. */
export const guardedAct = z
  .enum(['mailbox_add', 'mailbox_end', 'device_approve', 'device_end'])
  .meta({ id: 'GuardedAct' })
export type GuardedAct = z.infer<typeof guardedAct>

/**
 * A challenge was mailed, unless too many were mailed lately. `id` is that of the mailbox. The `Certbook-Registration`
 * header of the mail holds `challenge`: a device answers only the challenges that it asked for.
 */
export const mailboxChallengeAnswer = z
  .object({
    id: z.string(),
    challenge: z.string(),
    state: z.literal('pending'),
    expiresAt: z.string(),
  })
  .meta({ id: 'MailboxChallengeAnswer' })
/**
 * Without a token: mails a challenge. With one: answers it. `act` is what this device wants to do: for 15 minutes after
 * its answer it may do that once. Without `act` the proof only renews `verifiedAt`.
 */
export const mailboxProofRequest = z
  .strictObject({ token: z.string().min(1).max(200).optional(), act: guardedAct.optional() })
  .refine(({ token, act }) => token === undefined || act === undefined, 'Send a token or an act, not both.')
  .meta({ id: 'MailboxProofRequest' })

/** A device of the subscriber, or one that waits for approval: its `id` is then the one to approve. */
export const ownDevice = z
  .object({
    id: z.string(),
    state: z.enum(['active', 'awaiting_approval']),
    current: z.boolean(),
    appVersion: z.string(),
    deviceType: z.string(),
    osVersion: z.string(),
    language: z.string(),
    createdAt: z.string(),
    /** The day of its last call. Null if it waits for approval. */
    lastSeenAt: z.string().nullable(),
  })
  .meta({ id: 'OwnDevice' })

/** The next credential, shown once. The present one works until this one is used. */
export const rotatedCredential = z.object({ credential: z.string() }).meta({ id: 'RotatedCredential' })

/** The answer to a device's report, which comes at start and every five minutes. */
export const checkInAnswer = z
  .object({
    nextInSeconds: z.number(),
    /** Certificates to renew: less than a third of their lifetime is left, and at most 30 days. */
    renew: z.array(z.string()),
    /** Those of them with less than a twelfth left, and at most 7 days. */
    renewNow: z.array(z.string()),
  })
  .meta({ id: 'CheckInAnswer' })

export const certificateRequest = z
  .strictObject({
    csr: z.string().min(1),
    use: certificateUse,
    mailbox: addressText.optional(),
  })
  .meta({ id: 'CertificateRequest' })

/** A public key to certify: SubjectPublicKeyInfo as PEM or base64 DER. */
export const publicKeyRequest = z
  .strictObject({
    publicKey: z.string().min(1),
    use: certificateUse,
    mailbox: addressText.optional(),
  })
  .meta({ id: 'PublicKeyRequest' })

export const keyChallengeAnswer = z
  .object({
    id: z.string(),
    challenge: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('sign'), toBeSigned: z.base64() }),
      z.object({ kind: z.literal('decrypt'), envelopedData: z.base64() }),
    ]),
    expiresAt: z.string(),
  })
  .meta({ id: 'KeyChallengeAnswer' })

export const proofRequest = z.strictObject({ proof: z.base64().max(4_096) }).meta({ id: 'ProofRequest' })

/** Reports a compromised key: by the public key and a proof, or by the private key itself. */
export const keyCompromiseRequest = z
  .union([z.strictObject({ publicKey: z.string().min(1) }), z.strictObject({ privateKey: z.string().min(1) })])
  .meta({ id: 'KeyCompromiseRequest' })
export const keyBlockedAnswer = z.object({ state: z.literal('blocked') }).meta({ id: 'KeyBlockedAnswer' })

/** A certificate as the directory shows it. `chain`: issuing CA first, root last. */
const directoryCertificate = z
  .object({
    id: z.string(),
    mailbox: z.string(),
    use: certificateUse,
    state: z.enum(['valid', 'superseded', 'revoked', 'expired']),
    serialNumber: z.string(),
    fingerprintSha256: z.string(),
    issuer: z.string(),
    notBefore: z.string(),
    notAfter: z.string(),
    certificate: z.base64(),
    chain: z.array(z.base64()),
  })
  .meta({ id: 'DirectoryCertificate' })
export type DirectoryCertificate = z.infer<typeof directoryCertificate>

/** A certificate as its subscriber sees it. */
export const ownCertificate = directoryCertificate.extend({ published: z.boolean() }).meta({ id: 'OwnCertificate' })
export type OwnCertificate = z.infer<typeof ownCertificate>

export const certificateRequestAnswer = z
  .object({
    id: z.string(),
    state: z.enum([
      'received',
      'awaiting_mailbox_proof',
      'awaiting_approval',
      'pending',
      'issued',
      'rejected',
      'failed',
      'cancelled',
    ]),
    mailbox: z.string(),
    use: certificateUse,
    reason: z.string().nullable(),
    /** What the person said who rejected it. */
    explanation: z.string().nullable(),
    /** The CA that it was first passed to, and when. Null if it was not passed on. */
    forwarded: z.union([z.object({ to: z.string(), at: z.string() }), z.null()]),
    /** What it waits for, and what to do: for the CA's own challenge, or for the CA itself. */
    waitingFor: z.union([
      z.object({
        kind: z.enum(['ca_mailbox_challenge', 'ca_available']),
        /** The sender of the CA's own mail. */
        sender: z.string().nullable(),
        whatToDo: z.string(),
      }),
      z.null(),
    ]),
    /** The challenge to its mailbox that the asking device has to answer. Null where there is none. */
    mailboxChallenge: z.union([mailboxChallengeAnswer, z.null()]),
    // Not nullable(): in the OpenAPI document it would make the named shape itself nullable.
    certificate: z.union([ownCertificate, z.null()]),
  })
  .meta({ id: 'CertificateRequestAnswer' })
export type CertificateRequestAnswer = z.infer<typeof certificateRequestAnswer>

/** Why a certificate is revoked, RFC 5280 5.3.1. Lists and answers leave out `unspecified`. */
export const revocationReason = z
  .enum([
    'unspecified',
    'keyCompromise',
    'affiliationChanged',
    'superseded',
    'cessationOfOperation',
    'privilegeWithdrawn',
  ])
  .meta({ id: 'RevocationReason' })
export const revocationRequest = z.strictObject({ reason: revocationReason }).meta({ id: 'RevocationRequest' })

export const publicationRequest = z
  .strictObject({ consentVersion: shortText, audience })
  .meta({ id: 'PublicationRequest' })

export const lookupRequest = z
  .strictObject({
    addresses: z.array(addressText).min(1).max(100),
    use: certificateUse.exclude(['dual']),
  })
  .meta({ id: 'LookupRequest' })

export const lookupAnswer = z
  .object({
    results: z.array(
      z.object({
        address: z.string(),
        status: z.enum(['found', 'not_found', 'invalid']),
        certificates: z.array(directoryCertificate),
      }),
    ),
  })
  .meta({ id: 'LookupAnswer' })

export const ownLookup = z
  .object({
    at: z.string(),
    address: z.string(),
    status: z.enum(['found', 'not_found']),
    interface: z.literal('http'),
    deviceId: z.string().nullable(),
  })
  .meta({ id: 'OwnLookup' })

/** The certificates of the embedded CA, root first. `certificate` is base64 DER. */
export const authoritiesAnswer = z
  .object({
    items: z.array(
      z.object({
        id: z.string(),
        role: z.enum(['root', 'issuing']),
        subject: z.string(),
        serialNumber: z.string(),
        fingerprintSha256: z.string(),
        notBefore: z.string(),
        notAfter: z.string(),
        certificate: z.base64(),
      }),
    ),
  })
  .meta({ id: 'AuthoritiesAnswer' })

/** One page of a list. `next` is the cursor of the next page, or null. */
export const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() })

export const pageQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 200, 'must be from 1 to 200')
    .default(50),
  cursor: z.string().max(200).optional(),
})

export const problemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    code: z.string(),
    detail: z.string(),
    instance: z.string(),
  })
  .meta({ id: 'ProblemDocument' })
