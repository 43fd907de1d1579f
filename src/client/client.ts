import type { z } from 'zod'
import { policyAnswer } from '../api/shapes.ts'
import { Account } from './account.ts'
import { Certificates } from './certificates.ts'
import { Connection, type Fetch } from './connection.ts'
import { Directory, type LookupResults } from './directory.ts'
import { makeKeyPair, type DeviceKeyPair, type KeyOptions, type KeyUse } from './keys.ts'
import { Mailboxes } from './mailboxes.ts'
import { Registrations } from './registration.ts'
import { sleep } from './retry.ts'

/** The policy in force, with the texts to show. */
export type Policy = z.output<typeof policyAnswer>

/** What the library works with. The defaults come from the runtime (`globalThis`). */
export interface ClientOptions {
  /** The https: address of the service. http: is allowed for a service on the same machine. */
  readonly baseUrl: string
  /**
   * The CA certificates that the app trusts, DER: roots or issuing CAs. They come with the app, never from the service.
   * Without one, no certificate is trusted.
   */
  readonly anchors: readonly Uint8Array[]
  /** The credential of this device. A registration needs none. */
  readonly credential?: string
  readonly crypto?: Crypto
  readonly fetch?: Fetch
  /** UTC milliseconds. */
  readonly now?: () => number
  /** The limit of one try of one call. 30 by default. */
  readonly timeoutSeconds?: number
  /** How often a call that may be repeated is tried. 4 by default. */
  readonly attempts?: number
  /** Waits between tries. Rejects when the signal is aborted. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
  /** From 0 up to 1. Spreads the tries of many devices. */
  readonly random?: () => number
}

/**
 * One certbook service, as a mail app uses it. It keeps no state: what must outlive the app is returned as plain data
 * or keys, and the app stores it. Every method rejects with `CertbookError`.
 */
export class CertbookClient {
  readonly registrations: Registrations
  readonly account: Account
  readonly mailboxes: Mailboxes
  readonly certificates: Certificates
  readonly #options: ClientOptions
  readonly #connection: Connection
  readonly #directory: Directory
  readonly #crypto: Crypto

  /** Throws CertbookError `base_url_refused`. */
  constructor(options: ClientOptions) {
    const { crypto = globalThis.crypto, now = Date.now, credential, anchors } = options
    this.#options = options
    this.#crypto = crypto
    this.#connection = new Connection({
      baseUrl: options.baseUrl,
      // In a browser, fetch works only when it is called on its own global.
      fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
      now,
      timeoutMilliseconds: (options.timeoutSeconds ?? 30) * 1000,
      retries: {
        attempts: options.attempts ?? 4,
        sleep: options.sleep ?? sleep,
        random: options.random ?? Math.random,
      },
    })
    this.registrations = new Registrations(this.#connection)
    this.account = new Account(this.#connection, credential)
    this.mailboxes = new Mailboxes(this.#connection, credential)
    this.certificates = new Certificates(this.#connection, credential, { crypto, now, anchors })
    this.#directory = new Directory(this.#connection, credential, { crypto, now, anchors })
  }

  /** The same service, with the credential of a device. */
  withCredential(credential: string): CertbookClient {
    return new CertbookClient({ ...this.#options, credential })
  }

  /** The policy in force. Show its terms before a registration, and its consent text before a publication. */
  async policy(signal?: AbortSignal): Promise<Policy> {
    const call = { method: 'GET', path: '/v1/policy', answer: policyAnswer, repeating: 'repeatable', signal } as const
    return await this.#connection.call(call)
  }

  /**
   * Makes a key pair of this device. Store it, then have it certified. By default its private key is not extractable.
   */
  async makeKeyPair(use: KeyUse, options: KeyOptions = {}): Promise<DeviceKeyPair> {
    return await makeKeyPair(this.#crypto, use, options)
  }

  /** Makes the two key pairs of a device: one to sign with, one to decrypt with. */
  async makeKeyPairs(options: KeyOptions = {}): Promise<{ sign: DeviceKeyPair; encrypt: DeviceKeyPair }> {
    const [sign, encrypt] = await Promise.all([this.makeKeyPair('sign', options), this.makeKeyPair('encrypt', options)])
    return { sign, encrypt }
  }

  /** Finds certificates of others, and judges each here; see `Directory.lookup`. */
  async lookup(addresses: readonly string[], use: KeyUse, signal?: AbortSignal): Promise<LookupResults> {
    return await this.#directory.lookup(addresses, use, signal)
  }
}
