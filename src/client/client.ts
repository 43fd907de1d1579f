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

/** What is in force, with the texts that people are shown. */
export type Policy = z.output<typeof policyAnswer>

/** What the library works with. What is not given is the runtime's own, from `globalThis`. */
export interface ClientOptions {
  /** The https: address of the service; http: for one on the same machine alone. */
  readonly baseUrl: string
  /**
   * The CA certificates that the app trusts, DER: the roots, or issuing CAs, of the CAs that it accepts. They come with
   * the app and never from the service. With none, no certificate is trusted.
   */
  readonly anchors: readonly Uint8Array[]
  /** Of this device; registrations need none. */
  readonly credential?: string
  readonly crypto?: Crypto
  readonly fetch?: Fetch
  /** UTC milliseconds. */
  readonly now?: () => number
  /** Of one try of one call; 30 unless said. */
  readonly timeoutSeconds?: number
  /** Tries of one call that may be repeated; 4 unless said. */
  readonly attempts?: number
  /** Waits between tries; rejects when the signal is aborted. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
  /** From 0 up to 1, to spread the tries of many devices. */
  readonly random?: () => number
}

/**
 * One certbook service, as a mail app speaks with it. Holds no state but what it was made with: what is to outlive the
 * app is given back as plain data or keys, and the app stores it. Every method rejects with `CertbookError`.
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
      // A browser's fetch works on its own global only.
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

  /** The same service, spoken with by a device. */
  withCredential(credential: string): CertbookClient {
    return new CertbookClient({ ...this.#options, credential })
  }

  /** The policy in force: show its terms before a registration, and its consent text before a publication. */
  async policy(signal?: AbortSignal): Promise<Policy> {
    const call = { method: 'GET', path: '/v1/policy', answer: policyAnswer, repeating: 'repeatable', signal } as const
    return await this.#connection.call(call)
  }

  /** Makes a key pair of this device, to be stored and then certified. Its private key is not extractable. */
  async makeKeyPair(use: KeyUse, options: KeyOptions = {}): Promise<DeviceKeyPair> {
    return await makeKeyPair(this.#crypto, use, options)
  }

  /** The two key pairs of a device: mail is signed with one and decrypted with the other. */
  async makeKeyPairs(options: KeyOptions = {}): Promise<{ sign: DeviceKeyPair; encrypt: DeviceKeyPair }> {
    const [sign, encrypt] = await Promise.all([this.makeKeyPair('sign', options), this.makeKeyPair('encrypt', options)])
    return { sign, encrypt }
  }

  /** The certificates of these addresses that are fit for the use, each judged here: see `Directory.lookup`. */
  async lookup(addresses: readonly string[], use: KeyUse, signal?: AbortSignal): Promise<LookupResults> {
    return await this.#directory.lookup(addresses, use, signal)
  }
}
