import { z } from 'zod'
import { eventLevels, type EventLevel } from './events.ts'

/** How the embedded CA's certificates are shaped. */
type CaProfile = 'sbr-strict' | 'private'
/** The embedded CA's key. */
type CaKeyChoice = 'p256' | 'p384' | 'rsa3072'

/** The service's settings, all of them present and checked. */
export interface Config {
  readonly host: string
  readonly port: number
  readonly publicUrl: string
  readonly pkiUrl: string
  readonly dataDir: string
  readonly dataKey: Uint8Array | null
  readonly caProfile: CaProfile
  readonly caKey: CaKeyChoice
  readonly caPolicyOid: string | null
  readonly smtpUrl: string | null
  readonly mailHookUrl: string | null
  readonly mailHookToken: string | null
  readonly mailFrom: string
  readonly mailLanguage: 'de' | 'en'
  readonly queryLogDays: number
  readonly trustedProxies: readonly string[]
  readonly logLevel: EventLevel
  readonly controller: string | null
  readonly allowLoopbackHttp: boolean
}

/** All faults of a configuration at once, each naming its setting and what to do. */
export class ConfigInvalid extends Error {
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`the configuration cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigInvalid'
    this.faults = faults
  }
}

const url = (protocols: readonly string[], example: string) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol),
      `must be a URL such as ${example}`,
    )

const bare = (value: string): boolean => {
  const { pathname, search, hash, username } = new URL(value)
  return pathname === '/' && search === '' && hash === '' && username === ''
}

/** What addresses are made of by adding a path: it has none of its own, and no slash at its end. */
const origin = (protocols: readonly string[], example: string) =>
  url(protocols, example)
    .refine((value) => !URL.canParse(value) || bare(value), `must be a scheme and a host, such as ${example}`)
    .transform((value) => value.replace(/\/+$/, ''))

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

const environmentShape = z.object({
  HOST: z.string().default('127.0.0.1').describe('the address to listen on'),
  PORT: wholeNumber(0, 65_535).default(8080).describe('the port to listen on; 0 takes a free one'),
  PUBLIC_URL: origin(['http:', 'https:'], 'https://keys.example.com')
    .optional()
    .describe('where clients find the service'),
  PKI_URL: origin(['http:'], 'http://pki.example.com')
    .optional()
    .describe('plain HTTP address of CRLs, OCSP and CA certificates'),
  DATA_DIR: z.string().default('./data').describe('the folder of databases and keys'),
  DATA_KEY: dataKey.optional().describe('32 bytes in base64 that wrap the key ring; made in DATA_DIR where unset'),
  CA_PROFILE: z.enum(['sbr-strict', 'private']).default('sbr-strict').describe('how certificates are shaped'),
  CA_KEY: z
    .enum(['p256', 'p384', 'rsa3072'])
    .default('p256')
    .describe("the embedded CA's key, used when the CA is made"),
  CA_POLICY_OID: z
    .string()
    .regex(
      /^(?:[01]\.[0-3]?\d|2\.(?:0|[1-9]\d{0,14}))(?:\.(?:0|[1-9]\d{0,14}))+$/,
      'must be an object identifier such as 1.3.6.1.4.1.32473.1, no part longer than 15 digits',
    )
    .optional()
    .describe('the certificate policy of the private profile'),
  SMTP_URL: url(['smtp:', 'smtps:'], 'smtp://user:password@mail.example.com:587')
    .optional()
    .describe('how mail leaves'),
  MAIL_HOOK_URL: url(['http:', 'https:'], 'https://hook.example.com/mail')
    .optional()
    .describe('or: where mail is POSTed'),
  MAIL_HOOK_TOKEN: z.string().optional().describe('Bearer token of that POST'),
  MAIL_FROM: z
    .string()
    .includes('@', 'must be an address')
    .default('certbook@localhost')
    .describe('the sender of mail'),
  MAIL_LANGUAGE: z.enum(['de', 'en']).default('en').describe('the language of mail where the device speaks another'),
  DIRECTORY_ACCESS: z
    .literal('members', 'only members is available in this version')
    .default('members')
    .describe('who may look up'),
  QUERY_LOG_DAYS: wholeNumber(1, 365).default(90).describe('how long lookups are kept'),
  TRUSTED_PROXY: z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()))
    .default([])
    .describe('addresses of the reverse proxies whose forwarding headers count, separated by commas'),
  LOG_LEVEL: z.enum(eventLevels).default('info').describe('debug, info, warn or error'),
  CONTROLLER: z.string().optional().describe('who runs the service, as the privacy page names them'),
  ALLOW_LOOPBACK_HTTP: z.enum(['1']).optional().describe('development on Workers only: plain HTTP on a loopback host'),
})

/** Settings that the design names and that this version cannot honour; ignoring one could be dangerous. */
const settingsOfLaterVersions = [
  'PKI_PORT',
  'TLS_CERT_FILE',
  'TLS_KEY_FILE',
  'CORS_ORIGINS',
  'METRICS_TOKEN',
  'LOOKUP_BUDGET_SUBSCRIBER',
  'LOOKUP_BUDGET_NEW_SUBSCRIBER',
  'LOOKUP_BUDGET_DOMAIN',
  'LOOKUP_BUDGET_NETWORK',
] as const

/** Every setting with its meaning and default, for `certbook config check`. */
export const settingDescriptions: readonly { name: string; meaning: string }[] = Object.entries(
  environmentShape.shape,
).map(([name, shape]) => ({ name, meaning: shape.description ?? '' }))

const loopbackHosts = ['127.0.0.1', '::1', '[::1]', 'localhost']
export const isLoopbackHost = (host: string): boolean => loopbackHosts.includes(host)

type Environment = Readonly<Record<string, string | undefined>>

/** Empty means unset, as in a unit file with the value left out. */
const withoutEmpty = (environment: Environment): Record<string, string> => {
  const result: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment)) if (value !== undefined && value !== '') result[name] = value
  return result
}

/** What must be set before the service may be reached from elsewhere. */
const offLoopbackFaults = (settings: z.output<typeof environmentShape>): string[] => {
  const faults: string[] = []
  const because = `because HOST is ${settings.HOST}, which others can reach`
  if (settings.SMTP_URL === undefined && settings.MAIL_HOOK_URL === undefined) {
    faults.push(`SMTP_URL: set it (or MAIL_HOOK_URL), ${because}`)
  }
  if (settings.PKI_URL === undefined) faults.push(`PKI_URL: set it to a plain http: address, ${because}`)
  if (settings.CONTROLLER === undefined) faults.push(`CONTROLLER: set it to who runs the service, ${because}`)
  if (settings.PUBLIC_URL === undefined) faults.push(`PUBLIC_URL: set it to the https: address of clients, ${because}`)
  return faults
}

/**
 * Reads the environment (or a Worker's variables) into a `Config`. Throws `ConfigInvalid` with every fault.
 * `runtime: 'workers'` asks for what a Worker cannot do without.
 */
export function readConfig(environment: Environment, runtime: 'node' | 'workers'): Config {
  const given = withoutEmpty(environment)
  const faults = settingsOfLaterVersions
    .filter((name) => given[name] !== undefined)
    .map((name) => `${name}: not available in this version; unset it`)
  const parsed = environmentShape.safeParse(given)
  if (!parsed.success) {
    faults.push(...parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`))
    throw new ConfigInvalid(faults)
  }
  const settings = parsed.data
  if (runtime === 'node' && !isLoopbackHost(settings.HOST)) faults.push(...offLoopbackFaults(settings))
  if (runtime === 'workers') {
    for (const name of ['PUBLIC_URL', 'PKI_URL', 'DATA_KEY', 'MAIL_HOOK_URL', 'CONTROLLER'] as const) {
      if (settings[name] === undefined) faults.push(`${name}: set it; a Worker has no default for it`)
    }
  }
  if (settings.CA_PROFILE === 'private' && settings.CA_POLICY_OID === undefined) {
    faults.push('CA_POLICY_OID: set it; the private profile needs a policy of your own')
  }
  if (settings.SMTP_URL !== undefined && settings.MAIL_HOOK_URL !== undefined) {
    faults.push('MAIL_HOOK_URL: unset it or SMTP_URL; mail leaves one way')
  }
  if (faults.length > 0) throw new ConfigInvalid(faults)
  const host = settings.HOST.includes(':') ? `[${settings.HOST.replaceAll(/[[\]]/g, '')}]` : settings.HOST
  const publicUrl = settings.PUBLIC_URL ?? `http://${host}:${settings.PORT}`
  return {
    host: settings.HOST,
    port: settings.PORT,
    publicUrl,
    pkiUrl: settings.PKI_URL ?? publicUrl.replace(/^https:/, 'http:'),
    dataDir: settings.DATA_DIR,
    dataKey: settings.DATA_KEY ?? null,
    caProfile: settings.CA_PROFILE,
    caKey: settings.CA_KEY,
    caPolicyOid: settings.CA_POLICY_OID ?? null,
    smtpUrl: settings.SMTP_URL ?? null,
    mailHookUrl: settings.MAIL_HOOK_URL ?? null,
    mailHookToken: settings.MAIL_HOOK_TOKEN ?? null,
    mailFrom: settings.MAIL_FROM,
    mailLanguage: settings.MAIL_LANGUAGE,
    queryLogDays: settings.QUERY_LOG_DAYS,
    trustedProxies: settings.TRUSTED_PROXY,
    logLevel: settings.LOG_LEVEL,
    controller: settings.CONTROLLER ?? null,
    allowLoopbackHttp: settings.ALLOW_LOOPBACK_HTTP !== undefined,
  }
}
