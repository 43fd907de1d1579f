import type { MailboxAddress } from '../../mailbox/address.ts'
import type { PreparedChain } from '../../pki/chain.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import type { CertificateUse } from '../../pki/key-usage.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'

/** What a CA is asked for. The facts are verified; what the device sent is passed on for CAs that want it as it was signed. */
export interface CertificateOrder {
  /** The id of the request: the same each time that this order is sent, and of no other. */
  readonly request: string
  readonly provedBy: 'csr' | 'public_key'
  /** The CSR, byte for byte as the device sent it, or the SPKI where the key was proved by a challenge. */
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly key: KeyFacts
  readonly mailbox: MailboxAddress
  readonly use: CertificateUse
  readonly notBefore: Date
  readonly notAfter: Date
  /** The name of the CA's own profile, as the routing rule says; null for the connection's usual one. */
  readonly profile: string | null
}

/** Why a CA did not do what it was asked for; operators see it. */
export type CaFailure =
  // There is no answer, or none that can be used; see `ExchangeFailed`.
  | 'unreachable'
  | 'tls_refused'
  | 'timed_out'
  | 'connection_lost'
  | 'answer_too_large'
  | 'answer_malformed'
  // What the CA answered.
  | 'credential_refused'
  | 'busy'
  | 'ca_offline'
  | 'ca_error'
  | 'request_refused'
  | 'profile_refused'
  | 'key_refused'
  | 'rejected_by_ca'
  | 'expired_at_ca'
  | 'unknown_to_ca'
  // Here: the worker that had it is gone.
  | 'worker_lost'

/** What came of an order, or is known of it now. */
export type CaOutcome =
  | {
      /** Nothing in it is believed before it is verified. */
      readonly kind: 'issued'
      readonly certificate: Uint8Array
      /** What the CA sent with it, in any order and perhaps with others between; may be empty. */
      readonly chain: readonly Uint8Array[]
    }
  | {
      readonly kind: 'pending'
      /** What `poll` and `find` get again, for this adapter alone to read. */
      readonly state: string | null
      readonly retryAfterSeconds: number | null
      readonly waitsFor: 'ca_mailbox_challenge' | null
    }
  /** The CA has certainly not issued, and may do so when asked again. */
  | (CaRefusal & { readonly kind: 'transient'; readonly retryAfterSeconds: number | null })
  /** The CA has certainly not issued, and never will for this order. */
  | (CaRefusal & { readonly kind: 'permanent' })
  /** The CA may have issued. Whatever an adapter is not certain of is this. */
  | (CaRefusal & { readonly kind: 'unknown'; readonly state?: string | null })

interface CaRefusal {
  readonly failure: CaFailure
  /** The CA's own words, for operators; cut to what can be read. */
  readonly caSaid: string | null
}

/** What is found of an order whose outcome was unknown: the CA's word that it knows of none is `absent`. */
export type FoundOutcome = CaOutcome | { readonly kind: 'absent' }

/** One certificate that its CA is to revoke. */
export interface CaRevocation {
  readonly certificate: Uint8Array
  readonly reason: RevocationReason | null
}

/** Revoking is asked again until it is confirmed: a repeat must do no harm, and "revoked already" is a confirmation. */
export type CaRevocationOutcome =
  | { readonly kind: 'confirmed' }
  | (CaRefusal & { readonly kind: 'transient'; readonly retryAfterSeconds: number | null })
  /** Asking again will not help: an operator has to. */
  | (CaRefusal & { readonly kind: 'permanent' })

/** What a look at the CA that changes nothing there told. */
export type CaCheck =
  | {
      readonly kind: 'ready'
      /** What an operator wants to compare: names and values. */
      readonly facts: Readonly<Record<string, string>>
      /** The certificates (DER) that the CA shows as those it issues with, perhaps with CAs above; where it shows any. */
      readonly issuers?: readonly Uint8Array[]
      /** What its usual profile certifies keys for, where the CA says so and e-mail is not among it. */
      readonly usagesWithoutMail?: string
    }
  | (CaRefusal & { readonly kind: 'not_ready' })

/** What an adapter can do, and what it cannot. */
export interface CaDescription {
  /** Whether it certifies a bare public key; else it needs a CSR. */
  readonly acceptsPublicKey: boolean
  /** Whether the CA would take names and extensions from the CSR as signed, so that they are refused at intake (policy rule 8). */
  readonly takesContentFromCsr: boolean
  readonly algorithms: readonly KeyFacts['algorithm'][]
  /**
   * Whether an order leaves nothing behind, here or elsewhere, until its certificate is kept. Then the intent needs no
   * commit of its own before the CA is called: it is kept in one batch with the outcome, and after a crash the order
   * is simply sent again.
   */
  readonly keepsNothing: boolean
  /** Whether the identical order, sent again while its outcome is unknown, gets the same certificate. */
  readonly answersAgain: boolean
  /** Whether orders are carried to the CA by a person. */
  readonly byHand: boolean
}

/** One kind of CA, set up for one connection. No method throws for what a CA does or does not answer. */
export interface CaAdapter {
  describe(): CaDescription
  /** Looks whether the CA is there and lets this service in, without leaving anything behind. */
  check(): Promise<CaCheck>
  submit(order: CertificateOrder): Promise<CaOutcome>
  /** Asks for an order that was `pending`, with the state that came with it. */
  readonly poll?: (order: CertificateOrder, state: string | null) => Promise<CaOutcome>
  /** Looks for what became of an order whose outcome is unknown. */
  readonly find?: (order: CertificateOrder, state: string | null) => Promise<FoundOutcome>
  readonly revoke?: (revocation: CaRevocation) => Promise<CaRevocationOutcome>
}

/** Whom a connection trusts to have issued. */
export interface CaTrust {
  readonly anchors: readonly Uint8Array[]
  /** CAs between an anchor and what it issues, for CAs that do not send them. */
  readonly intermediates: readonly Uint8Array[]
  /** The chain prepared, where it is the same for every certificate: the CA inside. */
  readonly prepared?: PreparedChain
}
