import type { EventLevel } from './events.ts'
import { parametersAgainstTls } from './ports/mailer.ts'
import { isLoopbackHost } from './ports/network.ts'
import { environmentShape, settingNames, type Settings } from './settings.ts'

/** The certificate profile of the embedded CA. */
type CaProfile = 'sbr-strict' | 'private'
type CaKeyChoice = 'p256' | 'p384' | 'rsa3072' | 'rsa4096'

/** How many distinct addresses may be looked up in one UTC day. */
interface LookupBudgets {
  readonly subscriber: number
  /** Of a subscriber on the first day. */
  readonly newSubscriber: number
  /** Of all subscribers of one registrable domain together. Large providers have no such budget. */
  readonly domain: number
  /** Of anonymous askers from one address (/64 of IPv6). */
  readonly network: number
}

/** All settings of the service, checked. */
export interface Config {
  readonly host: string
  readonly port: number
  readonly publicUrl: string
  readonly pkiUrl: string
  readonly dataDir: string
  readonly dataKey: Uint8Array | null
  /** The data key that `dataKey` replaces. Workers only. */
  readonly dataKeyPrevious: Uint8Array | null
  /** A file that holds the data key instead. */
  readonly dataKeyFile: string | null
  /** The folder for signed checkpoints of the audit log. */
  readonly auditCheckpoints: string | null
  /** The private key that signs them, as text. */
  readonly auditNoteKey: string | null
  readonly caProfile: CaProfile
  readonly caKey: CaKeyChoice
  readonly caPolicyOid: string | null
  /** Who runs the embedded CA, as its certificates name it. */
  readonly caName: { readonly organization: string; readonly country: string }
  readonly smtpUrl: string | null
  readonly mailHookUrl: string | null
  readonly mailHookToken: string | null
  /** Where requests to CAs and for revocation lists may go, as EGRESS_ALLOW writes it. */
  readonly egressAllow: readonly string[]
  /** The same for the mail hook. */
  readonly mailHookAllow: readonly string[]
  readonly mailFrom: string
  readonly mailLanguage: 'de' | 'en'
  /** `members`: only subscribers may look up. `public`: anyone may, and finds what is published for everyone. */
  readonly directoryAccess: 'members' | 'public'
  readonly queryLogDays: number
  readonly lookupBudgets: LookupBudgets
  /** The port for plain HTTP, which serves only CRLs, OCSP and CA certificates. */
  readonly pkiPort: number | null
  /** The service's TLS certificate and key: PEM files, read again when they change. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null
  /** Web pages of these origins may call `/v1`. */
  readonly corsOrigins: readonly string[]
  readonly metricsToken: string | null
  /** Addresses and CIDR ranges of the reverse proxies whose forwarding headers are believed. */
  readonly trustedProxies: readonly string[]
  /** How much of the service one client may hold at once, without a credential. */
  readonly connections: { readonly perAddress: number; readonly perNetwork: number }
  readonly logLevel: EventLevel
  readonly controller: string | null
  readonly dpoContact: string | null
  readonly supervisoryAuthority: string | null
  /** SHA-256, in hex, of the secret that makes the first administrator. */
  readonly adminBootstrapSha256: string | null
  readonly allowLoopbackHttp: boolean
}

/** All faults of a configuration. Each names its setting and says what to do. */
export class ConfigInvalid extends Error {
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`the configuration cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigInvalid'
    this.faults = faults
  }
}

type Environment = Readonly<Record<string, string | undefined>>
/** The settings that were given, as written. An unreadable one is in here too, so nobody is told to set it. */
type Given = Readonly<Record<string, string>>
/** The settings that could be read, with defaults. Unreadable ones are left out. */
type Readable = Partial<Settings>

/** Removes empty settings. Empty means unset, as in a unit file without a value. */
const withoutEmpty = (environment: Environment): Given => {
  const result: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment)) if (value !== undefined && value !== '') result[name] = value
  return result
}

/** Faults of a service that other machines can reach: settings that are missing for that. */
const offLoopbackFaults = (given: Given, settings: Readable): string[] => {
  if (settings.HOST === undefined || isLoopbackHost(settings.HOST)) return []
  const faults: string[] = []
  const because = `because HOST is ${settings.HOST}, which others can reach`
  if (given['SMTP_URL'] === undefined && given['MAIL_HOOK_URL'] === undefined) {
    faults.push(`SMTP_URL: set it (or MAIL_HOOK_URL), ${because}`)
  }
  if (given['PKI_URL'] === undefined) faults.push(`PKI_URL: set it to a plain http: address, ${because}`)
  if (given['CONTROLLER'] === undefined) faults.push(`CONTROLLER: set it to who runs the service, ${because}`)
  if (given['PUBLIC_URL'] === undefined || settings.PUBLIC_URL?.startsWith('http:') === true) {
    faults.push(`PUBLIC_URL: set it to the https: address of clients, ${because}`)
  }
  if (given['TLS_CERT_FILE'] === undefined && given['TRUSTED_PROXY'] === undefined) {
    faults.push(`TLS_CERT_FILE: set it and TLS_KEY_FILE (or TRUSTED_PROXY, where a proxy ends TLS), ${because}`)
  }
  return faults
}

/** Faults of listening: settings that do not fit together. */
const listenerFaults = (given: Given, settings: Readable): string[] => {
  const faults: string[] = []
  const [withoutCertificate, withoutKey] = [settings.TLS_CERT_FILE, settings.TLS_KEY_FILE].map(
    (file) => file === undefined,
  )
  if (withoutCertificate !== withoutKey) {
    faults.push(
      `${withoutKey === true ? 'TLS_KEY_FILE' : 'TLS_CERT_FILE'}: set it too; certificate and key go together`,
    )
  }
  if (settings.TLS_CERT_FILE !== undefined && settings.PUBLIC_URL?.startsWith('http:') === true) {
    faults.push('PUBLIC_URL: set it to an https: address; with TLS_CERT_FILE nothing else is answered on PORT')
  }
  if (settings.TLS_CERT_FILE !== undefined && given['PKI_PORT'] === undefined && given['PKI_URL'] === undefined) {
    faults.push('PKI_PORT: set it (or PKI_URL): with TLS on PORT nothing answers the plain http: of CRLs and OCSP')
  }
  if (settings.PKI_PORT !== undefined && settings.PKI_PORT === settings.PORT && settings.PORT !== 0) {
    faults.push('PKI_PORT: set it to another port than PORT, which has a listener of its own')
  }
  return faults
}

/** Faults of the ways by which mail leaves this machine. Each would let it go in clear. */
const mailFaults = (settings: Readable): string[] => {
  const faults: string[] = []
  const because = 'mail for other machines never goes in clear'
  const { SMTP_URL: smtp, MAIL_HOOK_URL: hook } = settings
  if (hook !== undefined && hook.startsWith('http:') && !isLoopbackHost(new URL(hook).hostname)) {
    faults.push(`MAIL_HOOK_URL: set it to an https: address; ${because}`)
  }
  for (const name of smtp === undefined ? [] : parametersAgainstTls(new URL(smtp))) {
    faults.push(`SMTP_URL: leave ${name} out, and set it to smtps:, or to smtp: of a server with STARTTLS; ${because}`)
  }
  return faults
}

/** Settings that have no effect on Workers. A set one is a fault, because somebody relies on it. */
const nodeOnlySettings = [
  ['HOST', 'Cloudflare listens for it'],
  ['PORT', 'Cloudflare listens for it'],
  ['PKI_PORT', "plain HTTP is answered under PKI_URL's host"],
  ['TLS_CERT_FILE', 'Cloudflare ends TLS'],
  ['TLS_KEY_FILE', 'Cloudflare ends TLS'],
  ['TRUSTED_PROXY', 'Cloudflare says itself where a request came from'],
  ['CONNECTIONS_PER_ADDRESS', 'Cloudflare accepts the connections'],
  ['CONNECTIONS_PER_NETWORK', 'Cloudflare accepts the connections'],
  ['DATA_DIR', 'its databases are the D1 bindings of wrangler.toml'],
  ['DATA_KEY_FILE', 'its secrets are variables: set DATA_KEY'],
  ['SMTP_URL', 'mail leaves by MAIL_HOOK_URL'],
  ['AUDIT_CHECKPOINTS', 'it has no files; certbook audit checkpoint --url fetches one'],
  ['METRICS_TOKEN', 'it has no /metrics'],
] as const

const workerFaults = (given: Given, settings: Readable): string[] => {
  const faults: string[] = []
  for (const name of ['PUBLIC_URL', 'PKI_URL', 'DATA_KEY', 'MAIL_HOOK_URL', 'CONTROLLER'] as const) {
    if (given[name] === undefined) faults.push(`${name}: set it; a Worker has no default for it`)
  }
  for (const [name, because] of nodeOnlySettings) {
    if (given[name] !== undefined) faults.push(`${name}: unset it; a Worker has no use for it: ${because}`)
  }
  const development =
    settings.ALLOW_LOOPBACK_HTTP !== undefined &&
    settings.PUBLIC_URL !== undefined &&
    isLoopbackHost(new URL(settings.PUBLIC_URL).hostname)
  if (settings.PUBLIC_URL?.startsWith('http:') === true && !development) {
    faults.push('PUBLIC_URL: set it to the https: address of clients')
  }
  return faults
}

const publicUrlOf = (settings: Settings): string => {
  const host = settings.HOST.includes(':') ? `[${settings.HOST}]` : settings.HOST
  return settings.PUBLIC_URL ?? `${settings.TLS_CERT_FILE === undefined ? 'http' : 'https'}://${host}:${settings.PORT}`
}

/** RFC 5280 appendix A, ub-organization-name. */
const organizationLimit = 64

/** The organisation of the embedded CA: the setting, or the name with which CONTROLLER begins. */
const caOrganizationOf = (settings: Settings): string => {
  const controller = settings.CONTROLLER?.split(/[,\n]/)[0]?.trim() ?? ''
  return (settings.CA_ORGANIZATION ?? (controller === '' ? 'certbook' : controller)).slice(0, organizationLimit)
}

/** Plain HTTP has a port of its own, or shares PORT. */
const pkiUrlOf = (settings: Settings): string => {
  if (settings.PKI_URL !== undefined) return settings.PKI_URL
  const publicUrl = publicUrlOf(settings)
  if (settings.PKI_PORT === undefined) return publicUrl.replace(/^https:/, 'http:')
  return `http://${new URL(publicUrl).hostname}:${settings.PKI_PORT}`
}

const thisMachine = ['127.0.0.0/8', '::1', 'localhost']

/**
 * Where the service may go. A service that nobody but this machine reaches may ask CAs on this machine: whoever can make
 * it do so is here already. The mail hook is named by its own setting.
 */
const egressOf = (settings: Settings): Pick<Config, 'egressAllow' | 'mailHookAllow'> => {
  const isTrial = isLoopbackHost(settings.HOST) && isLoopbackHost(new URL(publicUrlOf(settings)).hostname)
  const egressAllow = [...settings.EGRESS_ALLOW, ...(isTrial ? thisMachine : [])]
  const hook = settings.MAIL_HOOK_URL === undefined ? [] : [new URL(settings.MAIL_HOOK_URL).hostname]
  return { egressAllow, mailHookAllow: [...settings.EGRESS_ALLOW, ...hook] }
}

/** All faults between readable settings: missing ones, and ones that do not fit together. */
const faultsTogether = (given: Given, settings: Readable, runtime: 'node' | 'workers'): string[] => {
  const faults =
    runtime === 'workers'
      ? workerFaults(given, settings)
      : [...offLoopbackFaults(given, settings), ...listenerFaults(given, settings)]
  if (settings.CA_PROFILE === 'private' && given['CA_POLICY_OID'] === undefined) {
    faults.push('CA_POLICY_OID: set it; the private profile needs a policy of your own')
  }
  if (given['SMTP_URL'] !== undefined && given['MAIL_HOOK_URL'] !== undefined) {
    faults.push('MAIL_HOOK_URL: unset it or SMTP_URL; mail leaves one way')
  }
  if (given['DATA_KEY'] !== undefined && given['DATA_KEY_FILE'] !== undefined) {
    faults.push('DATA_KEY_FILE: unset it or DATA_KEY; there is one key')
  }
  if (runtime === 'node' && given['DATA_KEY_PREVIOUS'] !== undefined) {
    faults.push('DATA_KEY_PREVIOUS: unset it; "certbook keys rotate --data-key" replaces the key of files')
  }
  return [...faults, ...mailFaults(settings)]
}

/** Reads each setting by itself. Returns all of them, or the faults and the ones that could be read. */
const readEach = (given: Given): { settings: Settings } | { faults: string[]; readable: Readable } => {
  const parsed = environmentShape.safeParse(given)
  if (parsed.success) return { settings: parsed.data }
  const { issues } = parsed.error
  const unreadable = new Set(issues.map(({ path }) => path[0]))
  const others = Object.entries(given).filter(([name]) => !unreadable.has(name))
  const readable: Readable = environmentShape.parse(Object.fromEntries(others))
  for (const name of settingNames) if (unreadable.has(name)) delete readable[name]
  return { faults: [...new Set(issues.map(({ path, message }) => `${String(path[0])}: ${message}`))], readable }
}

/**
 * Reads the environment, or the variables of a Worker. Throws `ConfigInvalid` with all faults. `workers` also requires
 * what a Worker needs.
 */
export function readConfig(environment: Environment, runtime: 'node' | 'workers'): Config {
  const given = withoutEmpty(environment)
  const read = readEach(given)
  if ('faults' in read) throw new ConfigInvalid([...read.faults, ...faultsTogether(given, read.readable, runtime)])
  const { settings } = read
  const faults = faultsTogether(given, settings, runtime)
  if (faults.length > 0) throw new ConfigInvalid(faults)
  const tls =
    settings.TLS_CERT_FILE === undefined || settings.TLS_KEY_FILE === undefined
      ? null
      : { certificateFile: settings.TLS_CERT_FILE, keyFile: settings.TLS_KEY_FILE }
  return {
    host: settings.HOST,
    port: settings.PORT,
    publicUrl: publicUrlOf(settings),
    pkiUrl: pkiUrlOf(settings),
    dataDir: settings.DATA_DIR,
    dataKey: settings.DATA_KEY ?? null,
    dataKeyPrevious: settings.DATA_KEY_PREVIOUS ?? null,
    dataKeyFile: settings.DATA_KEY_FILE ?? null,
    auditCheckpoints: settings.AUDIT_CHECKPOINTS ?? null,
    auditNoteKey: settings.AUDIT_NOTE_KEY ?? null,
    caProfile: settings.CA_PROFILE,
    caKey: settings.CA_KEY,
    caPolicyOid: settings.CA_POLICY_OID ?? null,
    caName: { organization: caOrganizationOf(settings), country: settings.CA_COUNTRY },
    smtpUrl: settings.SMTP_URL ?? null,
    mailHookUrl: settings.MAIL_HOOK_URL ?? null,
    mailHookToken: settings.MAIL_HOOK_TOKEN ?? null,
    ...egressOf(settings),
    mailFrom: settings.MAIL_FROM,
    mailLanguage: settings.MAIL_LANGUAGE,
    directoryAccess: settings.DIRECTORY_ACCESS,
    queryLogDays: settings.QUERY_LOG_DAYS,
    lookupBudgets: {
      subscriber: settings.LOOKUP_BUDGET_SUBSCRIBER,
      newSubscriber: settings.LOOKUP_BUDGET_NEW_SUBSCRIBER,
      domain: settings.LOOKUP_BUDGET_DOMAIN,
      network: settings.LOOKUP_BUDGET_NETWORK,
    },
    pkiPort: settings.PKI_PORT ?? null,
    tls,
    corsOrigins: settings.CORS_ORIGINS,
    metricsToken: settings.METRICS_TOKEN ?? null,
    trustedProxies: settings.TRUSTED_PROXY,
    connections: { perAddress: settings.CONNECTIONS_PER_ADDRESS, perNetwork: settings.CONNECTIONS_PER_NETWORK },
    logLevel: settings.LOG_LEVEL,
    controller: settings.CONTROLLER ?? null,
    dpoContact: settings.DPO_CONTACT ?? null,
    supervisoryAuthority: settings.SUPERVISORY_AUTHORITY ?? null,
    adminBootstrapSha256: settings.ADMIN_BOOTSTRAP_SHA256 ?? null,
    allowLoopbackHttp: settings.ALLOW_LOOPBACK_HTTP !== undefined,
  }
}

/** Warnings about an allowed configuration, as `/readyz` shows them. */
export function configWarnings(config: Config): string[] {
  const warnings: string[] = []
  const reachable = !isLoopbackHost(config.host) || !isLoopbackHost(new URL(config.publicUrl).hostname)
  if (reachable && config.dataKey === null && config.dataKeyFile === null) {
    warnings.push(
      'DATA_KEY lies inside DATA_DIR: whoever copies the folder can read it. Set DATA_KEY or DATA_KEY_FILE from elsewhere.',
    )
  }
  if (reachable && config.smtpUrl === null && config.mailHookUrl === null) {
    warnings.push('No mail leaves: set SMTP_URL or MAIL_HOOK_URL. DATA_DIR/outbox is for development.')
  }
  if (reachable && config.controller === null) warnings.push('CONTROLLER is not set: say who runs the service.')
  if (config.tls !== null && config.pkiPort === null) {
    warnings.push('PKI_PORT is not set, and PORT speaks TLS: something else must answer plain HTTP at PKI_URL.')
  }
  if (config.tls === null && config.trustedProxies.length === 0 && config.publicUrl.startsWith('https:')) {
    warnings.push('PUBLIC_URL is https:, but neither TLS_CERT_FILE nor TRUSTED_PROXY is set: name the proxy.')
  }
  return warnings
}
