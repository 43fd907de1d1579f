import type { z } from 'zod'
import {
  confirmationAnswer,
  credentialAnswer,
  registrationAnswer,
  registrationState,
  type RegistrationRequest,
} from '../api/shapes.ts'
import type { Connection } from './connection.ts'
import { CertbookError, isCertbookError } from './errors.ts'
import { findChallenge, type FoundChallenge, type MailHeaders } from './challenge-mail.ts'
import { poll, type Waiting } from './poll.ts'

/**
 * A registration that has begun. It is plain data: store it before anything else, so that each later step can be
 * repeated after a crash or a lost answer. `deviceSecret` is a secret. `userCode` is the code that the person types
 * into the page behind the mailed link.
 */
export type PendingRegistration = z.output<typeof registrationAnswer>

/** The new device. `credential` is a secret and is shown once. */
export type DeviceCredential = z.output<typeof credentialAnswer>

/** What happens to a mailbox that already has a subscriber. */
export interface CredentialChoice {
  /**
   * True: the device joins that subscriber when another of its devices approves it. Until then it is refused with
   * `approval_pending`. False: if it is approved by now, it joins. Otherwise the mailbox moves to a new subscriber, and
   * its certificates on the other devices end.
   */
  readonly waitForApproval: boolean
  readonly signal?: AbortSignal
}

/** From an address to the credential of a device. Needs no credential. */
export class Registrations {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /**
   * Begins to register a mailbox and this device; a challenge is mailed. Before, show the terms of `policy()`, and send
   * their version. If the answer is lost, this rejects with `network_failed` or `timeout`. The app may then start
   * again, which costs one more mail.
   */
  async start(request: RegistrationRequest, signal?: AbortSignal): Promise<PendingRegistration> {
    const call = {
      method: 'POST',
      path: '/v1/registrations',
      body: request,
      answer: registrationAnswer,
      signal,
    } as const
    return await this.#connection.call({ ...call, repeating: 'once' })
  }

  /**
   * Finds the token in the headers of a received mail, if the mail challenges one of these registrations; otherwise
   * null.
   */
  readChallenge(
    headers: MailHeaders,
    pendings: readonly PendingRegistration[],
  ): FoundChallenge<PendingRegistration> | null {
    return findChallenge(headers, pendings, this.#connection.origin)
  }

  /** Proves the mailbox with the mailed token. May be repeated. Rejects with `token_wrong`, `registration_ended`. */
  async confirm(pending: PendingRegistration, token: string, signal?: AbortSignal): Promise<void> {
    await this.#connection.call({
      ...this.#of(pending, '/confirmation'),
      method: 'POST',
      body: { token },
      answer: confirmationAnswer,
      repeating: 'repeatable',
      signal,
    })
  }

  /** The state of a registration. */
  async state(
    pending: PendingRegistration,
    signal?: AbortSignal,
  ): Promise<z.output<typeof registrationState>['state']> {
    const call = { ...this.#of(pending, ''), method: 'GET', answer: registrationState, signal } as const
    return (await this.#connection.call({ ...call, repeating: 'repeatable' })).state
  }

  /**
   * Resolves when the mailbox is proved, by another mail client or by a person with the mailed link. Rejects with
   * `registration_ended`, and with `aborted` when the app stops waiting.
   */
  async waitUntilConfirmed(pending: PendingRegistration, waiting: Waiting = {}): Promise<void> {
    await poll(this.#connection.retries, waiting, async () => {
      const state = await this.state(pending, waiting.signal)
      if (state === 'confirmed') return { done: true, value: null }
      if (state === 'pending') return { done: false, retryAfterSeconds: null }
      throw new CertbookError('registration_ended', 'This registration has ended: start a new one.')
    })
  }

  /**
   * Gets the credential of this device. A repeat replaces it, as long as it has not been used. Rejects with
   * `approval_pending`, `registration_not_confirmed`, `registration_completed`, `registration_ended`.
   */
  async credential(pending: PendingRegistration, choice: CredentialChoice): Promise<DeviceCredential> {
    return await this.#connection.call({
      ...this.#of(pending, '/credential'),
      method: 'POST',
      body: { waitForApproval: choice.waitForApproval },
      answer: credentialAnswer,
      repeating: 'repeatable',
      signal: choice.signal,
    })
  }

  /**
   * Resolves to the credential when another device of the mailbox's subscriber approves this one, or at once if the
   * mailbox has no subscriber. A person without any other device should be asked whether to take the mailbox over. If
   * yes, abort this, and call `credential` with `waitForApproval: false`.
   */
  async waitForCredential(pending: PendingRegistration, waiting: Waiting = {}): Promise<DeviceCredential> {
    const { signal } = waiting
    return await poll(this.#connection.retries, waiting, async () => {
      try {
        const choice = { waitForApproval: true, ...(signal === undefined ? {} : { signal }) }
        return { done: true, value: await this.credential(pending, choice) }
      } catch (error) {
        if (!isCertbookError(error, 'approval_pending')) throw error
        return { done: false, retryAfterSeconds: error.retryAfterSeconds }
      }
    })
  }

  #of(pending: PendingRegistration, step: string) {
    return { path: `/v1/registrations/${encodeURIComponent(pending.id)}${step}`, credential: pending.deviceSecret }
  }
}
