import { z } from 'zod'

/** One kind of CA, as operators and their commands know it. */
export interface CaKindFacts {
  readonly kind: string
  readonly settings: z.ZodObject
  /** Where the command line takes each secret of the settings from: an environment variable, or one for each part. */
  readonly secrets: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  /** Under which condition its CA revokes, where no look at the CA tells. */
  readonly revokesWhere?: string
  /** Words of the CA that need an explanation, each with what to check. */
  readonly adviceOn?: Readonly<Record<string, string>>
}

export const shortText = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .refine((value) => !/[\p{Cc}\p{Bidi_Control}]/u.test(value), 'must be one line of plain text')
/** One or more certificates, PEM. */
export const certificates = z.string().min(1).max(200_000)

const hasNoCredentials = (value: string): boolean => {
  if (!URL.canParse(value)) return true
  const { username, password } = new URL(value)
  return username === '' && password === ''
}

/**
 * The address of a CA: TLS, or this machine. The paths of its API are added to it, so it has no credentials, query or
 * fragment, not even empty ones.
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

/** The settings that all external CAs have. */
export const common = {
  /** The name for administrators. */
  name: shortText,
  /** Who runs the CA. The privacy page names this recipient. */
  recipient: shortText,
  /** ISO 3166-1 alpha-2. */
  country: z
    .string()
    .regex(/^[A-Z]{2}$/, 'must be two capital letters, such as DE')
    .nullable()
    .default(null),
  /** The key policy under which it issues. */
  keyPolicy: z.enum(['sbr-strict', 'private']).default('sbr-strict'),
  /** The CA certificates to which issued certificates must lead. */
  anchors: certificates,
  /** CA certificates between an anchor and issued certificates, if the CA does not send them. */
  intermediates: certificates.nullable().default(null),
  /** The addresses of the CA's revocation lists. */
  revocationLists: z.array(listUrl).max(10).default([]),
}

/** The further settings of a CA that is called over the network. */
export const remote = {
  ...common,
  url: baseUrl,
  /** Verifies the CA's TLS certificate, instead of the anchors of the runtime. */
  tlsAnchors: certificates.nullable().default(null),
  timeoutSeconds: z.int().min(1).max(120).default(30),
}

/** The sender of the mail by which the CA itself has the mailbox proved. Null if it sends none. */
export const mailboxChallenge = z.strictObject({ sender: shortText }).nullable().default(null)

export const secret = z.string().min(1).max(1_000)

/** In the examples of the API reference. */
export const exampleCertificate = '-----BEGIN CERTIFICATE-----\n…'

export const exampleSettings = {
  name: 'internal CA',
  recipient: 'Example Trust Services GmbH',
  country: 'DE',
  keyPolicy: 'sbr-strict',
  anchors: exampleCertificate,
  intermediates: null,
  revocationLists: ['http://crl.example.com/mail.crl'],
}
