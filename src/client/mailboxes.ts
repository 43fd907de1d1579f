import type { z } from 'zod'
import { mailboxChallengeAnswer, ownMailbox, type AccountType, type GuardedAct } from '../api/shapes.ts'
import { findChallenge, type FoundChallenge, type MailHeaders } from './challenge-mail.ts'
import type { Connection } from './connection.ts'

export type OwnMailbox = z.output<typeof ownMailbox>

/** A mailbox to which a token was mailed. It is plain data for the app to store. */
export type PendingMailbox = z.output<typeof mailboxChallengeAnswer>

/** The mailboxes of this subscriber; `account.read` lists them. */
export class Mailboxes {
  readonly #connection: Connection
  readonly #credential: string | undefined

  constructor(connection: Connection, credential: string | undefined) {
    this.#connection = connection
    this.#credential = credential
  }

  /** Asks to add a mailbox; a challenge is mailed to it. Rejects with `mailbox_proof_required` (`mailbox_add`). */
  async add(email: string, accountType: AccountType, signal?: AbortSignal): Promise<PendingMailbox> {
    return await this.#ask('/v1/me/mailboxes', { email, accountType }, signal)
  }

  /**
   * Mails a new challenge to a mailbox. Two cases need one: changing devices or mailboxes needs a proof that this device
   * gave for this `act` within the last 15 minutes, and a mailbox that another subscriber has proved comes back by a new
   * proof. A proof is good for its act once. Without an act it only proves the mailbox.
   */
  async askForProof(
    mailbox: string,
    { act, signal }: { readonly act?: GuardedAct; readonly signal?: AbortSignal } = {},
  ): Promise<PendingMailbox> {
    const body = act === undefined ? {} : { act }
    return await this.#ask(`/v1/me/mailboxes/${encodeURIComponent(mailbox)}/proof`, body, signal)
  }

  /**
   * Finds the token in the headers of a received mail, if the mail is one of these challenges; otherwise null. Give it
   * only what this device asked for: another device of the subscriber asks for challenges of its own.
   */
  readChallenge(headers: MailHeaders, pendings: readonly PendingMailbox[]): FoundChallenge<PendingMailbox> | null {
    const byChallenge = pendings.map((pending) => ({ id: pending.challenge, pending }))
    const found = findChallenge(headers, byChallenge, this.#connection.origin)
    return found === null ? null : { pending: found.pending.pending, token: found.token }
  }

  /** Proves a mailbox with the mailed token. May be repeated. Rejects with `token_wrong`, `challenge_ended`. */
  async prove({ id }: PendingMailbox, token: string, signal?: AbortSignal): Promise<OwnMailbox> {
    return await this.#connection.call({
      path: `/v1/me/mailboxes/${encodeURIComponent(id)}/proof`,
      credential: this.#credential,
      method: 'POST',
      body: { token },
      answer: ownMailbox,
      repeating: 'repeatable',
      signal,
    })
  }

  /**
   * Removes a mailbox, with its certificates. Rejects with `mailbox_is_last`, `mailbox_proof_required` (`mailbox_end`).
   */
  async remove(mailbox: string, signal?: AbortSignal): Promise<void> {
    await this.#connection.call({
      path: `/v1/me/mailboxes/${encodeURIComponent(mailbox)}`,
      credential: this.#credential,
      method: 'DELETE',
      answer: null,
      repeating: 'repeatable',
      signal,
    })
  }

  /** Never repeated automatically: each call sends a mail. */
  async #ask(path: string, body: object, signal: AbortSignal | undefined): Promise<PendingMailbox> {
    const call = { path, credential: this.#credential, method: 'POST', body, answer: mailboxChallengeAnswer } as const
    return await this.#connection.call({ ...call, repeating: 'once', signal })
  }
}
