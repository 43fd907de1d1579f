import type { MailboxAddress } from '../../mailbox/address.ts'
import type { PreparedChain } from '../../pki/chain.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import type { CertificateUse } from '../../pki/key-usage.ts'

/** What a CA is asked for. The facts are verified; what the device sent is passed on for CAs that want it as it was signed. */
export interface CertificateOrder {
  readonly request: string
  /** The CSR, or the SPKI where the key was proved by a challenge. */
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly key: KeyFacts
  readonly mailbox: MailboxAddress
  readonly use: CertificateUse
  readonly notBefore: Date
  readonly notAfter: Date
}

/** What a CA returned; nothing in it is believed before it is verified. */
export interface IssuedByCa {
  readonly authority: string
  readonly certificate: Uint8Array
  /** Issuing CA first, root last. */
  readonly chain: readonly Uint8Array[]
  /** What the connection trusts. */
  readonly anchors: readonly Uint8Array[]
  /** Chain and anchors prepared, where they are the same for every certificate of the connection. */
  readonly prepared?: PreparedChain
}

/** One kind of CA. */
export interface CaAdapter {
  /** The name of the CA to which requests go, for the register of recipients. */
  readonly name: string
  /**
   * Whether an order leaves nothing behind, here or elsewhere, until its certificate is kept. Then the intent needs no
   * commit of its own before the CA is called: it is kept in one batch with the outcome.
   */
  readonly keepsNothing: boolean
  /** Asking twice for the same order must leave one certificate that counts. */
  submit(order: CertificateOrder): Promise<IssuedByCa>
  /** The chain under one of the CA's authorities, issuing CA first. */
  chainOf(authority: string): readonly Uint8Array[]
}
