import type { z } from 'zod'
import {
  checkInAnswer,
  ownDevice,
  pageOf,
  rotatedCredential,
  subscriberAnswer,
  type DeviceFacts,
} from '../api/shapes.ts'
import type { Connection } from './connection.ts'
import { allOf } from './pages.ts'

export type Subscriber = z.output<typeof subscriberAnswer>
export type OwnDevice = z.output<typeof ownDevice>
export type CheckIn = z.output<typeof checkInAnswer>

const devicesPage = pageOf(ownDevice)

/** The subscriber whose device this is, and its devices. */
export class Account {
  readonly #connection: Connection
  readonly #credential: string | undefined

  constructor(connection: Connection, credential: string | undefined) {
    this.#connection = connection
    this.#credential = credential
  }

  /** Who this device belongs to, with the mailboxes. */
  async read(signal?: AbortSignal): Promise<Subscriber> {
    const call = { ...this.#of('/v1/me'), method: 'GET', answer: subscriberAnswer, signal } as const
    return await this.#connection.call({ ...call, repeating: 'repeatable' })
  }

  /** Sets the language of mails to this subscriber, a tag of RFC 5646. */
  async changeLanguage(language: string, signal?: AbortSignal): Promise<Subscriber> {
    const call = { ...this.#of('/v1/me'), method: 'PATCH', body: { language }, answer: subscriberAnswer } as const
    return await this.#connection.call({ ...call, repeating: 'repeatable', signal })
  }

  /**
   * A new credential for this device, shown this once. Store it, then go on with `client.withCredential`: the one
   * before works until the new one is first used. May be repeated until then.
   */
  async rotateCredential(signal?: AbortSignal): Promise<string> {
    const call = { ...this.#of('/v1/me/credential'), method: 'POST', answer: rotatedCredential, signal } as const
    return (await this.#connection.call({ ...call, repeating: 'repeatable' })).credential
  }

  /**
   * Reports this device: at its start, and again after `nextInSeconds`. `renew` are the ids of its certificates whose
   * renewal is due; `renewNow` are those of them that run out within days. Send a serial number from an Android device only.
   */
  async checkIn(device: DeviceFacts, signal?: AbortSignal): Promise<CheckIn> {
    const call = { ...this.#of('/v1/check-ins'), method: 'POST', body: device, answer: checkInAnswer, signal } as const
    return await this.#connection.call({ ...call, repeating: 'repeatable' })
  }

  /** The devices of this subscriber, and those that ask to become one (`awaiting_approval`). */
  devices(signal?: AbortSignal): AsyncGenerator<OwnDevice> {
    return allOf(this.#connection, this.#of('/v1/me/devices'), devicesPage, signal)
  }

  /**
   * Lets a device join that is `awaiting_approval`. Ask the person first: the new device reads the same mailbox, and
   * will have certificates for it. May be repeated. Rejects with `mailbox_proof_required`.
   */
  async approveDevice(device: string, signal?: AbortSignal): Promise<OwnDevice> {
    return await this.#connection.call({
      ...this.#of(`/v1/me/devices/${encodeURIComponent(device)}/approval`),
      method: 'POST',
      answer: ownDevice,
      repeating: 'repeatable',
      signal,
    })
  }

  /**
   * Ends a device, with its credential and certificates, or turns one away that is `awaiting_approval`. Rejects with
   * `mailbox_proof_required`.
   */
  async endDevice(device: string, signal?: AbortSignal): Promise<void> {
    const path = `/v1/me/devices/${encodeURIComponent(device)}`
    await this.#connection.call({ ...this.#of(path), method: 'DELETE', answer: null, repeating: 'repeatable', signal })
  }

  #of(path: string) {
    return { path, credential: this.#credential }
  }
}
