import type { z } from 'zod'
import { lookupAnswer } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import type { Connection } from './connection.ts'
import { CertbookError } from './errors.ts'
import { judgeCertificate, type RejectionReason, type TrustedCertificate, type Verdict } from './judge.ts'
import type { KeyUse } from './keys.ts'

/** One address of a question, with the certificates to encrypt to or verify with. */
export interface LookupResult {
  /** As the question had it. */
  readonly address: string
  /** `found`: at least one certificate may be used. `rejected`: the service answered some, and none may be used. */
  readonly status: 'found' | 'rejected' | 'not_found' | 'invalid'
  readonly certificates: readonly TrustedCertificate[]
}

/** A certificate of the answer that must not be used. It is a fault or an attack. */
export interface RejectedCertificate {
  readonly address: string
  /** SHA-256 in lower-case hexadecimal. Null if there were no bytes. */
  readonly fingerprintSha256: string | null
  readonly reason: RejectionReason
}

export interface LookupResults {
  /** In the order of the question. */
  readonly results: readonly LookupResult[]
  readonly rejected: readonly RejectedCertificate[]
}

export interface DirectoryOptions {
  readonly crypto: Crypto
  /** UTC milliseconds. */
  readonly now: () => number
  readonly anchors: readonly Uint8Array[]
}

/** The most addresses that the API takes in one call. */
const addressesPerCall = 100
/** The most certificates that the service answers for one address. */
const certificatesPerAddress = 10

type AnsweredResult = z.output<typeof lookupAnswer>['results'][number]

interface Judged {
  readonly result: Omit<LookupResult, 'address'>
  readonly rejected: readonly RejectedCertificate[]
}

/** Certificates of others, found by exact address. */
export class Directory {
  readonly #connection: Connection
  readonly #credential: string | undefined
  readonly #options: DirectoryOptions

  constructor(connection: Connection, credential: string | undefined, options: DirectoryOptions) {
    this.#connection = connection
    this.#credential = credential
    this.#options = options
  }

  /**
   * Finds the certificates of these addresses that may be used. Each of them is judged here, from its own bytes: it
   * names the address, leads to one of the app's anchors, is valid now and fits the use. Other certificates of the
   * answer are in `rejected` and must not be used. The service logs every address that it is asked for, so ask only
   * when a message is to be encrypted. Text that is not an address is `invalid` and is not sent. Without a credential
   * only a public directory answers.
   *
   * Rejects with `lookup_budget_spent` (nothing was looked up then) and `answer_malformed`.
   */
  async lookup(addresses: readonly string[], use: KeyUse, signal?: AbortSignal): Promise<LookupResults> {
    const asked = addresses.map((text) => ({ text, mailbox: readAddress(text) }))
    const distinct = new Map<string, MailboxAddress>()
    for (const { mailbox } of asked) {
      if (mailbox !== null && !distinct.has(mailbox.matchingKey)) distinct.set(mailbox.matchingKey, mailbox)
    }
    const answered = await this.#ask([...distinct.values()], use, signal)
    const judged = new Map<string, Judged>()
    for (const [key, mailbox] of distinct) {
      const answer = answered.get(key)
      if (answer !== undefined) judged.set(key, await this.#judge(mailbox, use, answer))
    }
    return {
      results: asked.map(({ text, mailbox }) => ({
        address: text,
        ...(judged.get(mailbox?.matchingKey ?? '')?.result ?? { status: 'invalid' as const, certificates: [] }),
      })),
      rejected: [...judged.values()].flatMap(({ rejected }) => rejected),
    }
  }

  async #ask(mailboxes: readonly MailboxAddress[], use: KeyUse, signal: AbortSignal | undefined) {
    const answered = new Map<string, AnsweredResult>()
    for (let start = 0; start < mailboxes.length; start += addressesPerCall) {
      const part = mailboxes.slice(start, start + addressesPerCall)
      const { results } = await this.#connection.call({
        method: 'POST',
        path: '/v1/lookups',
        credential: this.#credential,
        body: { addresses: part.map(({ address }) => address), use },
        answer: lookupAnswer,
        repeating: 'repeatable',
        signal,
      })
      const fits = results.length === part.length && results.every(({ address }, at) => address === part[at]?.address)
      // A result in the wrong place would be taken for the answer about somebody else.
      if (!fits) throw new CertbookError('answer_malformed', 'The answer is to another question.')
      for (const [at, { matchingKey }] of part.entries()) {
        const result = results[at]
        if (result !== undefined) answered.set(matchingKey, result)
      }
    }
    return answered
  }

  async #judge(mailbox: MailboxAddress, use: KeyUse, { status, certificates }: AnsweredResult): Promise<Judged> {
    if (status !== 'found') return { result: { status, certificates: [] }, rejected: [] }
    const { crypto, now, anchors } = this.#options
    const expected = { mailbox, use, anchors, at: new Date(now()) }
    const trusted: TrustedCertificate[] = []
    const rejected: RejectedCertificate[] = []
    for (const [position, answered] of certificates.entries()) {
      const verdict: Verdict =
        position < certificatesPerAddress
          ? await judgeCertificate(crypto, answered, expected)
          : { trusted: false, reason: 'too_many', fingerprintSha256: null }
      if (verdict.trusted) trusted.push(verdict.certificate)
      else
        rejected.push({
          address: mailbox.address,
          fingerprintSha256: verdict.fingerprintSha256,
          reason: verdict.reason,
        })
    }
    return { result: { status: trusted.length > 0 ? 'found' : 'rejected', certificates: trusted }, rejected }
  }
}

function readAddress(text: string): MailboxAddress | null {
  try {
    return parseMailboxAddress(text)
  } catch (error) {
    if (error instanceof DomainError) return null
    throw error
  }
}
