import { constants, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { dayMilliseconds } from '../ports/time.ts'

/** The PEM files of the service's certificate (with its chain) and of its key. */
export interface TlsFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

/** The certificate or key cannot be used. The message names the setting and the fault. */
export class TlsFilesUnusable extends Error {
  constructor(setting: 'TLS_CERT_FILE' | 'TLS_KEY_FILE', fault: string, cause?: unknown) {
    super(`${setting}: ${fault}`, { cause })
    this.name = 'TlsFilesUnusable'
  }
}

/** A certificate and the key that belongs to it. */
export interface TlsIdentity {
  readonly options: SecureContextOptions
  readonly certificate: X509Certificate
}

/** Only forward secrecy and authenticated encryption: all of TLS 1.3, and the same strength of TLS 1.2. */
const cipherSuites = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]

async function read(setting: 'TLS_CERT_FILE' | 'TLS_KEY_FILE', file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new TlsFilesUnusable(setting, `${file} cannot be read`, cause)
  }
}

const readKey = (pem: string): KeyObject => {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    const encrypted = pem.includes('ENCRYPTED')
    const fault = encrypted ? 'is encrypted; the service needs it without a passphrase' : 'is no private key in PEM'
    throw new TlsFilesUnusable('TLS_KEY_FILE', fault, cause)
  }
}

const readCertificate = (pem: string): X509Certificate => {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new TlsFilesUnusable('TLS_CERT_FILE', 'is no certificate in PEM', cause)
  }
}

/** Reads both files and checks that they belong together. Throws `TlsFilesUnusable`. */
export async function readTlsIdentity(files: TlsFiles): Promise<TlsIdentity> {
  const cert = await read('TLS_CERT_FILE', files.certificateFile)
  const key = await read('TLS_KEY_FILE', files.keyFile)
  const certificate = readCertificate(cert)
  if (!certificate.checkPrivateKey(readKey(key))) {
    throw new TlsFilesUnusable('TLS_KEY_FILE', 'is not the key of the first certificate in TLS_CERT_FILE')
  }
  const options: SecureContextOptions = {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: cipherSuites.join(':'),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  }
  try {
    createSecureContext(options)
  } catch (cause) {
    throw new TlsFilesUnusable('TLS_CERT_FILE', 'holds a chain or a key that TLS cannot use', cause)
  }
  return { options, certificate }
}

/** How long before its end a certificate causes a warning: two weeks, for people who renew by hand. */
const soonMilliseconds = 14 * dayMilliseconds

/** Faults of a usable certificate, as warnings for `/readyz`. `host` is that of PUBLIC_URL. */
export function certificateWarnings(certificate: X509Certificate, host: string, now: number): string[] {
  const warnings: string[] = []
  const { validFromDate, validToDate } = certificate
  const end = validToDate.toISOString()
  if (now > validToDate.getTime()) warnings.push(`The certificate in TLS_CERT_FILE expired at ${end}. Renew it.`)
  else if (now > validToDate.getTime() - soonMilliseconds) {
    warnings.push(`The certificate in TLS_CERT_FILE expires at ${end}. Renew it.`)
  }
  if (now < validFromDate.getTime()) warnings.push('The certificate in TLS_CERT_FILE is not valid yet.')
  const address = host.replaceAll(/[[\]]/g, '')
  const named = isIP(address) === 0 ? certificate.checkHost(address) : certificate.checkIP(address)
  if (named === undefined) warnings.push('The certificate in TLS_CERT_FILE does not name the host of PUBLIC_URL.')
  return warnings
}

interface Watcher {
  readonly onChange: (identity: TlsIdentity) => void
  readonly onFault: (fault: Error) => void
}

/** Watches the files of a certificate, and reads them again when they change. */
export class TlsCertificateFiles {
  readonly #files: TlsFiles
  #identity: TlsIdentity
  #seen: string
  #watcher: Watcher | null = null
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> = Promise.resolve()

  private constructor(files: TlsFiles, identity: TlsIdentity, seen: string) {
    this.#files = files
    this.#identity = identity
    this.#seen = seen
  }

  /** Throws `TlsFilesUnusable`. */
  static async open(files: TlsFiles): Promise<TlsCertificateFiles> {
    // Note the state of the files before reading them. A change in between is then noticed.
    const seen = await lookOf(files)
    return new TlsCertificateFiles(files, await readTlsIdentity(files), seen)
  }

  /** The pair in use: the last one that was usable. */
  get identity(): TlsIdentity {
    return this.#identity
  }

  /** Checks the files again and again until `close`. */
  watch(watcher: Watcher, everyMilliseconds: number): void {
    this.#watcher = watcher
    const look = async (): Promise<void> => {
      await this.#afterThat(() => this.#readIfChanged())
      if (this.#watcher !== null) this.#timer?.refresh()
    }
    this.#timer = setTimeout(() => void look(), everyMilliseconds)
    this.#timer.unref()
  }

  /** Reads the files now. Resolves when the pair is in use or refused. */
  reload(): Promise<void> {
    return this.#afterThat(async () => this.#read(await lookOf(this.#files)))
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#watcher = null
    await this.#reading
  }

  #afterThat(work: () => Promise<void>): Promise<void> {
    this.#reading = this.#reading.then(work)
    return this.#reading
  }

  async #readIfChanged(): Promise<void> {
    const seen = await lookOf(this.#files)
    if (seen !== this.#seen) await this.#read(seen)
  }

  async #read(seen: string): Promise<void> {
    this.#seen = seen
    try {
      this.#identity = await readTlsIdentity(this.#files)
      this.#watcher?.onChange(this.#identity)
    } catch (error) {
      this.#watcher?.onFault(error instanceof Error ? error : new Error('the files cannot be read', { cause: error }))
    }
  }
}

/** A text that changes when a file is written or replaced. */
async function lookOf({ certificateFile, keyFile }: TlsFiles): Promise<string> {
  const looks = [certificateFile, keyFile].map(async (file) => {
    try {
      const { ino, size, mtimeNs } = await stat(file, { bigint: true })
      return `${ino} ${size} ${mtimeNs}`
    } catch {
      return 'missing'
    }
  })
  return (await Promise.all(looks)).join(', ')
}
