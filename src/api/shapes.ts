import { z } from 'zod'

/**
 * The wire shapes of `/v1`, shared by the service and its clients. Requests are closed: an unknown field is refused,
 * so that nothing the privacy disclosures do not name is ever sent in. Answers may grow.
 */

/** Longer than any address that RFC 5321 allows, and short enough to refuse a flood early. */
const addressText = z.string().min(1).max(1_000)
const shortText = z.string().min(1).max(100)

const accountType = z.enum(['imap', 'exchange'])
export type AccountType = z.infer<typeof accountType>

export const certificateUse = z.enum(['sign', 'encrypt', 'dual'])
export type CertificateUse = z.infer<typeof certificateUse>

const audience = z.enum(['members', 'public'])
export type Audience = z.infer<typeof audience>

/** The device facts of the disclosures: nothing else about a device is taken. */
export const deviceFacts = z.strictObject({
  appVersion: shortText,
  deviceType: shortText,
  osVersion: shortText,
  language: z
    .string()
    .regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8})*$/, 'must be a language tag (RFC 5646)')
    .max(35),
  serialNumber: shortText.nullable(),
})
export type DeviceFacts = z.infer<typeof deviceFacts>

export const registrationRequest = z.strictObject({
  email: addressText,
  accountType,
  policyVersion: shortText,
  device: deviceFacts,
})
export type RegistrationRequest = z.infer<typeof registrationRequest>

export const registrationAnswer = z.object({
  id: z.string(),
  deviceSecret: z.string(),
  userCode: z.string(),
  expiresAt: z.string(),
})

export const confirmationRequest = z.strictObject({ token: z.string().min(1).max(200) })
export const confirmationAnswer = z.object({ state: z.literal('confirmed') })
export const registrationState = z.object({ state: z.enum(['pending', 'confirmed', 'ended']) })
export const credentialAnswer = z.object({
  subscriberId: z.string(),
  deviceId: z.string(),
  mailbox: z.string(),
  credential: z.string(),
})

export const policyAnswer = z.object({
  version: z.string(),
  effectiveAt: z.string(),
  terms: z.object({ language: z.string(), url: z.string(), sha256: z.string() }),
  consents: z.object({
    publication: z.object({ version: z.string(), text: z.string(), sha256: z.string() }),
    crashReports: z.object({ version: z.string(), text: z.string(), sha256: z.string() }),
  }),
  next: z.null(),
})

export const subscriberAnswer = z.object({
  subscriberId: z.string(),
  deviceId: z.string(),
  language: z.string(),
  createdAt: z.string(),
  restricted: z.boolean(),
  mailboxes: z.array(
    z.object({ id: z.string(), address: z.string(), accountType, verifiedAt: z.string(), createdAt: z.string() }),
  ),
})

export const certificateRequest = z.strictObject({
  csr: z.string().min(1),
  use: certificateUse,
  mailbox: addressText.optional(),
})

/** A bare public key that is to be certified: SubjectPublicKeyInfo as PEM or base64 DER. */
export const publicKeyRequest = z.strictObject({
  publicKey: z.string().min(1),
  use: certificateUse,
  mailbox: addressText.optional(),
})

export const keyChallengeAnswer = z.object({
  id: z.string(),
  challenge: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('sign'), toBeSigned: z.base64() }),
    z.object({ kind: z.literal('decrypt'), envelopedData: z.base64() }),
  ]),
  expiresAt: z.string(),
})

export const proofRequest = z.strictObject({ proof: z.base64().max(4_096) })

/** A report that a key is compromised: by its public key and a proof, or by the private key itself. */
export const keyCompromiseRequest = z.union([
  z.strictObject({ publicKey: z.string().min(1) }),
  z.strictObject({ privateKey: z.string().min(1) }),
])
export const keyBlockedAnswer = z.object({ state: z.literal('blocked') })

/** A certificate as the directory shows it. `chain`: issuing CA first, root last. */
const directoryCertificate = z.object({
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
export type DirectoryCertificate = z.infer<typeof directoryCertificate>

/** A certificate as its subscriber sees it. */
export const ownCertificate = directoryCertificate.extend({ published: z.boolean() })
export type OwnCertificate = z.infer<typeof ownCertificate>

export const certificateRequestAnswer = z.object({
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
  certificate: ownCertificate.nullable(),
})
export type CertificateRequestAnswer = z.infer<typeof certificateRequestAnswer>

/** Why a certificate is revoked, RFC 5280 5.3.1; `unspecified` is left out of lists and answers. */
export const revocationReason = z.enum([
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
])
export const revocationRequest = z.strictObject({ reason: revocationReason })

export const publicationRequest = z.strictObject({ consentVersion: shortText, audience })

export const lookupRequest = z.strictObject({
  addresses: z.array(addressText).min(1).max(100),
  use: certificateUse.exclude(['dual']),
})

export const lookupAnswer = z.object({
  results: z.array(
    z.object({
      address: z.string(),
      status: z.enum(['found', 'not_found', 'invalid']),
      certificates: z.array(directoryCertificate),
    }),
  ),
})

export const ownLookup = z.object({
  at: z.string(),
  address: z.string(),
  status: z.enum(['found', 'not_found']),
  interface: z.literal('http'),
  deviceId: z.string().nullable(),
})

/** One page of a list; `next` is the cursor of the following page, or null. */
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

export const problemDocument = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  code: z.string(),
  detail: z.string(),
  instance: z.string(),
})
