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

  /** The subscriber of this device, with the mailboxes. */
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
   * Makes the next credential of this device, which is shown once. Store it, then go on with `client.withCredential`.
   * The present credential works until the next one is first used, and this may be repeated until then.
   */
  async rotateCredential(signal?: AbortSignal): Promise<string> {
    const call = { ...this.#of('/v1/me/credential'), method: 'POST', answer: rotatedCredential, signal } as const
    return (await this.#connection.call({ ...call, repeating: 'repeatable' })).credential
  }

  /**
   * Reports this device. Call it at start, and again after `nextInSeconds`. `renew` are the ids of certificates to
   * renew now; `renewNow` are those among them that run out within days. Send a serial number only from an Android
   * device.
   */
  async checkIn(device: DeviceFacts, signal?: AbortSignal): Promise<CheckIn> {
    const call = { ...this.#of('/v1/check-ins'), method: 'POST', body: device, answer: checkInAnswer, signal } as const
    return await this.#connection.call({ ...call, repeating: 'repeatable' })
  }

  /** The devices of this subscriber, and those that wait for approval (`awaiting_approval`). */
  devices(signal?: AbortSignal): AsyncGenerator<OwnDevice> {
    return allOf(this.#connection, this.#of('/v1/me/devices'), devicesPage, signal)
  }

  /**
   * Approves a device that is `awaiting_approval`. Ask the person first: the new device reads the same mailbox and will
   * get certificates for it. May be repeated. Rejects with `mailbox_proof_required` (`device_approve`).
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
   * Ends a device with its credential and certificates, or rejects one that is `awaiting_approval`. Rejects with
   * `mailbox_proof_required` (`device_end`).
   */
  async endDevice(device: string, signal?: AbortSignal): Promise<void> {
    const path = `/v1/me/devices/${encodeURIComponent(device)}`
    await this.#connection.call({ ...this.#of(path), method: 'DELETE', answer: null, repeating: 'repeatable', signal })
  }

  #of(path: string) {
    return { path, credential: this.#credential }
  }
}
