import type { z } from 'zod'
import {
  certificateRequestAnswer,
  keyChallengeAnswer,
  ownCertificate,
  pageOf,
  type Audience,
  type CertificateRequestAnswer,
  type CertificateUse,
  type OwnCertificate,
  type revocationReason,
} from '../api/shapes.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { toBase64 } from '../pki/encoding.ts'
import { makeCertificateRequest } from '../pki/make-certificate-request.ts'
import type { Connection } from './connection.ts'
import { CertbookError, inCodes, isCertbookError } from './errors.ts'
import type { DeviceKeyPair } from './keys.ts'
import { allOf } from './pages.ts'
import { poll, type Waiting } from './poll.ts'
import { proveWithKey, type KeyChallenge } from './prove-with-key.ts'
import { requireOwnCertificate } from './own-certificate.ts'

export type RevocationReason = z.output<typeof revocationReason>

/** A CSR that the app made itself. */
export interface RequestByCsr {
  /** PEM, or base64 of the DER. */
  readonly csr: string
  readonly use: CertificateUse
  /** A subscriber with one mailbox may leave it out. */
  readonly mailbox?: string
}

/** A public key whose private key the app can use, wherever that lies. */
export interface RequestByPublicKey {
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  readonly use: CertificateUse
  readonly mailbox?: string
  /** Answers the challenge, with `proveBySigning`, with `proveByDecrypting`, or in a key provider of the app. */
  prove(challenge: KeyChallenge): Promise<Uint8Array>
}

/** How long an app waits for a certificate, and who is told meanwhile. */
export interface WaitingForCertificate extends Waiting {
  /**
   * Called at each look while the request is under way. `state` says how far it is; `waitingFor` says what somebody has
   * to do.
   */
  readonly underWay?: (request: CertificateRequestAnswer) => void
}

export interface CertificatesOptions {
  readonly crypto: Crypto
  /** UTC milliseconds. */
  readonly now: () => number
  readonly anchors: readonly Uint8Array[]
}

/** How many challenges are asked for per key if answers to proofs are lost. */
const challengesPerKey = 3

/** The certificates of this subscriber, and how this device gets one. */
export class Certificates {
  readonly #connection: Connection
  readonly #credential: string | undefined
  readonly #options: CertificatesOptions

  constructor(connection: Connection, credential: string | undefined, options: CertificatesOptions) {
    this.#connection = connection
    this.#credential = credential
    this.#options = options
  }

  /**
   * Has a key pair of `makeKeyPair` certified for a mailbox: a signing key with a CSR, a decryption key with a
   * challenge. Store the key pair before. Then this may be repeated with the same key pair after any failure, and gives
   * the same request. Its state is `issued`, or one that `waitForCertificate` waits for.
   *
   * A new certificate is judged as certificates of others are, and must hold this key. Otherwise this rejects with
   * `certificate_refused`.
   */
  async certify(keyPair: DeviceKeyPair, mailbox: string, signal?: AbortSignal): Promise<CertificateRequestAnswer> {
    return await inCodes(async () => {
      const answer = await (keyPair.use === 'sign'
        ? this.#certifyByCsr(keyPair, mailbox, signal)
        : this.#certifyByProof(keyPair, mailbox, signal))
      return await this.#requireOwn(answer, keyPair, mailbox)
    })
  }

  /**
   * Gets the next certificate for the mailbox and use of an older one, with a new key pair. The service publishes it
   * under the same consent, and the older one becomes `superseded`. Keep the older private key: mail that was encrypted
   * with it needs it.
   */
  async renew(
    older: Pick<OwnCertificate, 'mailbox' | 'use'>,
    keyPair: DeviceKeyPair,
    signal?: AbortSignal,
  ): Promise<CertificateRequestAnswer> {
    if (older.use === keyPair.use) return await this.certify(keyPair, older.mailbox, signal)
    throw new CertbookError('private_key_unsuitable', 'Renew a certificate with a key pair for the same use.')
  }

  /** Sends a CSR. A certificate in the answer is not judged here. May be repeated with a CSR for the same key. */
  async requestByCsr(request: RequestByCsr, signal?: AbortSignal): Promise<CertificateRequestAnswer> {
    return await this.#connection.call({
      ...this.#of('/v1/certificate-requests'),
      method: 'POST',
      body: { ...request },
      answer: certificateRequestAnswer,
      repeating: 'repeatable',
      signal,
    })
  }

  /**
   * Has a public key certified with a challenge to its holder. A certificate in the answer is not judged here. A proof
   * uses up its challenge. If an answer is lost, another challenge is asked for; the key still gets one request.
   */
  async certifyPublicKey(request: RequestByPublicKey, signal?: AbortSignal): Promise<CertificateRequestAnswer> {
    for (let challenges = 1; ; challenges++) {
      const challenge = await this.#challenge(request, signal)
      const proof = await request.prove(challenge)
      try {
        return await this.#connection.call({
          ...this.#of(`/v1/public-keys/${encodeURIComponent(challenge.id)}/proof`),
          method: 'POST',
          body: { proof: toBase64(proof) },
          answer: certificateRequestAnswer,
          repeating: 'once',
          signal,
        })
      } catch (error) {
        const isLost = isCertbookError(error) && ['network_failed', 'timeout', 'challenge_ended'].includes(error.code)
        if (!isLost || challenges >= challengesPerKey) throw error
      }
    }
  }

  /**
   * Resolves when the request is decided. The state is then `issued`, `rejected` (with an `explanation`, if a person
   * gave one), `failed` or `cancelled`. `request` is what `certify` resolved to. Rejects as `certify` does. If people
   * approve requests, this can take days: then call `readRequest` now and then instead.
   */
  async waitForCertificate(
    request: Pick<CertificateRequestAnswer, 'id' | 'mailbox'>,
    keyPair: DeviceKeyPair,
    waiting: WaitingForCertificate = {},
  ): Promise<CertificateRequestAnswer> {
    const { signal, underWay } = waiting
    const call = { ...this.#oneRequest(request.id), signal }
    const decided = await poll(this.#connection.retries, waiting, async () => {
      const { value, retryAfterSeconds } = await this.#connection.ask(call)
      if (!undecided.has(value.state)) return { done: true, value }
      underWay?.(value)
      return { done: false, retryAfterSeconds }
    })
    return await inCodes(() => this.#requireOwn(decided, keyPair, request.mailbox))
  }

  /** Reads one request. A certificate in the answer is not judged here. */
  async readRequest(request: string, signal?: AbortSignal): Promise<CertificateRequestAnswer> {
    return await this.#connection.call({ ...this.#oneRequest(request), signal })
  }

  /** The requests of this subscriber, newest first. */
  requests(signal?: AbortSignal): AsyncGenerator<CertificateRequestAnswer> {
    return allOf(this.#connection, this.#of('/v1/certificate-requests'), requestsPage, signal)
  }

  /** Cancels a request that is not decided yet. Rejects with `request_not_cancellable`. */
  async cancel(request: string, signal?: AbortSignal): Promise<void> {
    const call = { ...this.#of(`/v1/certificate-requests/${encodeURIComponent(request)}`), answer: null } as const
    await this.#connection.call({ ...call, method: 'DELETE', repeating: 'repeatable', signal })
  }

  /** All certificates of this subscriber, newest first, including those of other devices and ended ones. */
  list(signal?: AbortSignal): AsyncGenerator<OwnCertificate> {
    return allOf(this.#connection, this.#of('/v1/certificates'), certificatesPage, signal)
  }

  async read(certificate: string, signal?: AbortSignal): Promise<OwnCertificate> {
    const call = { ...this.#one(certificate), method: 'GET', answer: ownCertificate, signal } as const
    return await this.#connection.call({ ...call, repeating: 'repeatable' })
  }

  /**
   * Lets every subscriber (`members`) or anybody (`public`) find a certificate. `consentVersion` is the version of the
   * text that the person has just agreed to; `policy()` has the text. Rejects with `consent_version_not_in_force`.
   */
  async publish(
    certificate: string,
    consent: { readonly consentVersion: string; readonly audience: Audience },
    signal?: AbortSignal,
  ): Promise<OwnCertificate> {
    const { consentVersion, audience } = consent
    return await this.#connection.call({
      ...this.#one(certificate, '/publication'),
      method: 'PUT',
      body: { consentVersion, audience },
      answer: ownCertificate,
      repeating: 'repeatable',
      signal,
    })
  }

  /** Takes a certificate out of the directory, at once. */
  async withdraw(certificate: string, signal?: AbortSignal): Promise<void> {
    const call = { ...this.#one(certificate, '/publication'), method: 'DELETE', answer: null, signal } as const
    await this.#connection.call({ ...call, repeating: 'repeatable' })
  }

  /** Revokes a certificate, for good. */
  async revoke(certificate: string, reason: RevocationReason, signal?: AbortSignal): Promise<OwnCertificate> {
    return await this.#connection.call({
      ...this.#one(certificate, '/revocation'),
      method: 'POST',
      body: { reason },
      answer: ownCertificate,
      repeating: 'repeatable',
      signal,
    })
  }

  async #certifyByCsr(
    keyPair: DeviceKeyPair,
    mailbox: string,
    signal: AbortSignal | undefined,
  ): Promise<CertificateRequestAnswer> {
    const address = parseMailboxAddress(mailbox)
    const der = await makeCertificateRequest(this.#options.crypto, { ...keyPair, mailbox: address })
    return await this.requestByCsr({ csr: toBase64(der), use: keyPair.use, mailbox }, signal)
  }

  async #certifyByProof(
    keyPair: DeviceKeyPair,
    mailbox: string,
    signal: AbortSignal | undefined,
  ): Promise<CertificateRequestAnswer> {
    const { spki, use } = keyPair
    const prove = (challenge: KeyChallenge) => proveWithKey(this.#options.crypto, challenge, keyPair)
    return await this.certifyPublicKey({ spki, use, mailbox, prove }, signal)
  }

  async #challenge({ spki, use, mailbox }: RequestByPublicKey, signal: AbortSignal | undefined): Promise<KeyChallenge> {
    const { id, challenge } = await this.#connection.call({
      ...this.#of('/v1/public-keys'),
      method: 'POST',
      body: { publicKey: toBase64(spki), use, ...(mailbox === undefined ? {} : { mailbox }) },
      answer: keyChallengeAnswer,
      repeating: 'repeatable',
      signal,
    })
    return { id, origin: this.#connection.origin, spki, challenge }
  }

  async #requireOwn(
    answer: CertificateRequestAnswer,
    keyPair: DeviceKeyPair,
    mailbox: string,
  ): Promise<CertificateRequestAnswer> {
    const { crypto, now, anchors } = this.#options
    const own = parseMailboxAddress(mailbox)
    if (parseMailboxAddress(answer.mailbox).matchingKey !== own.matchingKey) {
      throw new CertbookError('certificate_refused', 'The request that came back is for another mailbox.')
    }
    if (answer.certificate === null) return answer
    await requireOwnCertificate(crypto, answer.certificate, {
      mailbox: own,
      use: keyPair.use,
      spki: keyPair.spki,
      anchors,
      at: new Date(now()),
    })
    return answer
  }

  #of(path: string) {
    return { path, credential: this.#credential }
  }

  #oneRequest(request: string) {
    return {
      ...this.#of(`/v1/certificate-requests/${encodeURIComponent(request)}`),
      method: 'GET',
      answer: certificateRequestAnswer,
      repeating: 'repeatable',
    } as const
  }

  #one(certificate: string, step = '') {
    return this.#of(`/v1/certificates/${encodeURIComponent(certificate)}${step}`)
  }
}

const requestsPage = pageOf(certificateRequestAnswer)
const certificatesPage = pageOf(ownCertificate)

const undecided: ReadonlySet<CertificateRequestAnswer['state']> = new Set([
  'received',
  'awaiting_mailbox_proof',
  'awaiting_approval',
  'pending',
])
