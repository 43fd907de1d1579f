import { z } from 'zod'
import { eventLevels } from './events.ts'
import { isLoopbackHost } from './ports/network.ts'

const url = (protocols: readonly string[], example: string, fault = `must be a URL such as ${example}`) =>
  z.string().refine((value) => URL.canParse(value) && protocols.includes(new URL(value).protocol), fault)

const bare = (value: string): boolean => {
  const { pathname, search, hash, username } = new URL(value)
  return pathname === '/' && search === '' && hash === '' && username === ''
}

/** An origin, to which paths are added. It has no path of its own and no slash at its end. */
const origin = (protocols: readonly string[], example: string, fault?: string) =>
  url(protocols, example, fault)
    .refine((value) => !URL.canParse(value) || bare(value), `must be a scheme and a host, such as ${example}`)
    .transform((value) => value.replace(/\/+$/, ''))

const list = (value: string): string[] => value.split(',').map((part) => part.trim())

const addressOrRange = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])

/** RFC 952 and RFC 1123: labels of letters, digits and hyphens. The last one is no number, as in an address. */
const hostName = z
  .string()
  .max(253)
  .regex(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i)

/** Where requests may go. A name that is mistyped would open nothing, and a range of all addresses everything. */
const destination = z
  .string()
  .refine(
    (value) => hostName.safeParse(value).success || addressOrRange.safeParse(value).success,
    'must be host names, addresses or networks such as ca.example.com, 10.0.0.0/8, or the word only',
  )
  .refine((value) => !value.endsWith('/0'), 'must not be the range of all addresses: name the networks of your CAs')

/** A trusted proxy can claim any client address. So the range of all addresses is refused: it would trust everyone. */
const proxyRange = z
  .string()
  .refine((value) => addressOrRange.safeParse(value).success, 'must be addresses or ranges such as 10.0.0.0/8')
  .refine((value) => !value.endsWith('/0'), 'must not be the range of all addresses: anyone could forge where they are')

/**
 * The `Origin` header of a browser, compared as a whole. Apps in a web view have schemes of their own, such as
 * `capacitor://localhost`.
 */
const pageOrigin = z
  .string()
  .regex(/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+\/?$/i, 'must be origins such as https://mail.example.com, without a path')
  .refine(
    (value) => !/^http:/i.test(value) || !URL.canParse(value) || isLoopbackHost(new URL(value).hostname),
    'must not be http: but on this machine: who can change such a page has all that it is told',
  )
  .transform((value) => {
    const { origin } = new URL(value)
    return origin === 'null' ? value.toLowerCase().replace(/\/$/, '') : origin
  })

const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be from ${least} to ${most}`)

const dataKey = z
  .base64('must be base64')
  .transform((value) => Uint8Array.from(atob(value), (character) => character.charCodeAt(0)))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64 (openssl rand -base64 32)')

/**
 * All settings as they stand in the environment, each checked by itself. `config.ts` checks whether they fit together.
 */
export const environmentShape = z.object({
  HOST: z
    .string()
    .transform((value) => value.replaceAll(/[[\]]/g, ''))
    .default('127.0.0.1')
    .describe('the address to listen on'),
  PORT: wholeNumber(0, 65_535).default(8080).describe('the port to listen on; 0 takes a free one'),
  PUBLIC_URL: origin(['http:', 'https:'], 'https://keys.example.com')
    .optional()
    .describe('where clients find the service, such as https://keys.example.com'),
  PKI_URL: origin(
    ['http:'],
    'http://pki.example.com',
    'must be a plain http: address such as http://pki.example.com: who fetches a revocation list over TLS would have to check another certificate first',
  )
    .optional()
    .describe('plain HTTP address of CRLs, OCSP and CA certificates, such as http://pki.example.com'),
  DATA_DIR: z.string().default('./data').describe('the folder of databases and keys'),
  DATA_KEY: dataKey.optional().meta({
    description: '32 bytes in base64 that wrap the key ring (openssl rand -base64 32); made in DATA_DIR where unset',
    secret: true,
  }),
  DATA_KEY_PREVIOUS: dataKey.optional().meta({
    description:
      'on Workers: the key that DATA_KEY replaces; the key ring is then wrapped with DATA_KEY; unset it afterwards',
    secret: true,
  }),
  DATA_KEY_FILE: z
    .string()
    .optional()
    .describe('or: a file with DATA_KEY, such as a credential of systemd; its owner alone should be able to read it'),
  AUDIT_CHECKPOINTS: z
    .string()
    .optional()
    .describe(
      'a folder outside of DATA_DIR in which a signed checkpoint of the audit log is kept every day, better on another machine',
    ),
  AUDIT_NOTE_KEY: z
    .string()
    .regex(/^PRIVATE\+KEY\+[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/u, 'must be a key that certbook audit note-key made')
    .optional()
    .meta({
      description: 'the key that signs checkpoints (certbook audit note-key); made in DATA_DIR where unset',
      secret: true,
    }),
  CA_PROFILE: z.enum(['sbr-strict', 'private']).default('sbr-strict').describe('how certificates are shaped'),
  CA_KEY: z
    .enum(['p256', 'p384', 'rsa4096', 'rsa3072'])
    .default('p256')
    .describe("the embedded CA's key, used when the CA is made; under sbr-strict rsa3072 only for one that exists"),
  CA_ORGANIZATION: z
    .string()
    .max(64, 'must have 64 characters at most')
    .optional()
    .describe('who runs the embedded CA, in its certificates, used when it is made; else the name in CONTROLLER'),
  CA_COUNTRY: z
    .string()
    .regex(/^[A-Z]{2}$/, 'must be two capital letters of ISO 3166-1, such as DE')
    .default('XX')
    .describe('the country of that organisation, such as DE, used when the CA is made; XX says none'),
  CA_POLICY_OID: z
    .string()
    .regex(
      /^(?:[01]\.[0-3]?\d|2\.(?:0|[1-9]\d{0,14}))(?:\.(?:0|[1-9]\d{0,14}))+$/,
      'must be an object identifier such as 1.3.6.1.4.1.32473.1, no part longer than 15 digits',
    )
    .optional()
    .describe('the certificate policy of the private profile, an object identifier such as 1.3.6.1.4.1.32473.1'),
  SMTP_URL: url(['smtp:', 'smtps:'], 'smtp://user:password@mail.example.com:587').optional().meta({
    description:
      'how mail leaves, such as smtp://user:password@mail.example.com:587; other machines must speak STARTTLS, or smtps:',
    secret: true,
  }),
  MAIL_HOOK_URL: url(['http:', 'https:'], 'https://hook.example.com/mail')
    .optional()
    .describe('or: where mail is POSTed, such as https://hook.example.com/mail; http: on this machine only'),
  MAIL_HOOK_TOKEN: z.string().optional().meta({ description: 'Bearer token of that POST', secret: true }),
  EGRESS_ALLOW: z
    .string()
    .transform(list)
    .pipe(z.array(destination))
    .default([])
    .describe(
      'host names, addresses and networks besides public ones to which requests to CAs and for revocation lists may go, such as ca.internal.example, 10.1.0.0/16; the word only leaves out the public ones',
    ),
  MAIL_FROM: z
    .string()
    .includes('@', 'must be an address')
    .default('certbook@localhost')
    .describe('the sender of mail'),
  MAIL_LANGUAGE: z.enum(['de', 'en']).default('en').describe('the language of mail where the device speaks another'),
  DIRECTORY_ACCESS: z
    .enum(['members', 'public'])
    .default('members')
    .describe('who may look up: members, or the public, who finds what was published to all'),
  LOOKUP_BUDGET_SUBSCRIBER: wholeNumber(1, 1_000_000)
    .default(500)
    .describe('distinct addresses that a subscriber may look up on one UTC day; tags of one mailbox count together'),
  LOOKUP_BUDGET_NEW_SUBSCRIBER: wholeNumber(1, 1_000_000).default(50).describe('the same in the first 24 hours'),
  LOOKUP_BUDGET_DOMAIN: wholeNumber(1, 1_000_000)
    .default(2_000)
    .describe(
      'the same for all subscribers of one domain together, and a quarter more for those who have asked for at most a hundredth of it; large mail providers are left out',
    ),
  LOOKUP_BUDGET_NETWORK: wholeNumber(1, 1_000_000)
    .default(500)
    .describe('the same for anonymous askers at one address (/64 of IPv6); its /24 or /48 has four times as many'),
  QUERY_LOG_DAYS: wholeNumber(1, 365).default(90).describe('how long lookups are kept'),
  TRUSTED_PROXY: z
    .string()
    .transform(list)
    .pipe(z.array(proxyRange))
    .default([])
    .describe(
      'addresses or CIDR ranges of the reverse proxies whose forwarding headers count, such as 127.0.0.1, 10.0.0.0/8',
    ),
  CONNECTIONS_PER_ADDRESS: wholeNumber(1, 100_000)
    .default(300)
    .describe('connections at once from one address (one /64 of IPv6); those with a valid credential do not count'),
  CONNECTIONS_PER_NETWORK: wholeNumber(1, 100_000)
    .default(600)
    .describe('the same of one network (/24, /48); behind a TRUSTED_PROXY, its requests at once'),
  LOG_LEVEL: z.enum(eventLevels).default('info').describe('how much is logged'),
  CONTROLLER: z
    .string()
    .optional()
    .describe('who runs the service, as the privacy page names them, such as Example GmbH, Musterweg 1, 10115 Berlin'),
  DPO_CONTACT: z.string().optional().describe('how to reach the data protection officer, such as privacy@example.com'),
  SUPERVISORY_AUTHORITY: z.string().optional().describe('where to complain'),
  PKI_PORT: wholeNumber(0, 65_535)
    .optional()
    .describe('a port of its own for plain HTTP: CRLs, OCSP and CA certificates, nothing else'),
  TLS_CERT_FILE: z
    .string()
    .optional()
    .describe('file with certificate and chain of the service, PEM; read again when it changes'),
  TLS_KEY_FILE: z.string().optional().describe('file with its private key, PEM'),
  CORS_ORIGINS: z
    .string()
    .transform(list)
    .pipe(z.array(pageOrigin))
    .default([])
    .describe('origins of web pages that may call /v1, such as https://mail.example.com, capacitor://localhost'),
  METRICS_TOKEN: z.string().min(16, 'must have at least 16 characters').optional().meta({
    description: 'Bearer token of /metrics, 16 characters or more; without it /metrics answers this machine only',
    secret: true,
  }),
  ADMIN_BOOTSTRAP_SHA256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in 64 lower-case hex digits')
    .optional()
    .describe('SHA-256 of the secret, of 32 characters or more, that makes the first administrator by HTTP, once'),
  ALLOW_LOOPBACK_HTTP: z.enum(['1']).optional().describe('development on Workers only: plain HTTP on a loopback host'),
})

/** All settings, checked, with defaults. */
export type Settings = z.output<typeof environmentShape>

interface SettingDescription {
  readonly name: keyof Settings
  /** What it means, its choices and its default. */
  readonly meaning: string
  /** The default as a person would write it, or null. */
  readonly byDefault: string | null
  /** Whether the value must never be shown. */
  readonly secret: boolean
}

const describeSetting = (name: keyof Settings): SettingDescription => {
  const shape = environmentShape.shape[name]
  const inner = shape instanceof z.ZodDefault || shape instanceof z.ZodOptional ? shape.unwrap() : shape
  const value = shape instanceof z.ZodDefault ? String(shape.def.defaultValue) : ''
  const parts = [
    shape.description ?? '',
    ...(inner instanceof z.ZodEnum ? [`one of ${inner.options.join(', ')}`] : []),
    ...(value === '' ? [] : [`default ${value}`]),
  ]
  return {
    name,
    meaning: parts.join('; '),
    byDefault: value === '' ? null : value,
    secret: shape.meta()?.['secret'] === true,
  }
}

export const settingNames = environmentShape.keyof().options

/** All settings with their meaning, for `certbook config check`. */
export const settingDescriptions = settingNames.map(describeSetting)
