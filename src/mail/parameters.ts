/** The languages that mail is written in. */
export type MailLanguage = 'de' | 'en'

/**
 * The mails that may be sent, as a closed list: the service sends no other. A kind is added here, in the schema's
 * CHECK and in the disclosures together. Times are UTC milliseconds.
 */
export interface MailParameters {
  /** Asks for a proof of the mailbox. */
  readonly challenge: {
    /** What the token belongs to: a registration, or a challenge to a subscriber's mailbox. */
    readonly registration: string
    readonly token: string
    readonly purpose: 'registration' | 'add' | 'prove'
    readonly deviceType: string
    readonly startedAt: number
  }
  readonly new_device: { readonly deviceType: string; readonly at: number }
  readonly new_certificate: {
    readonly use: 'sign' | 'encrypt' | 'dual'
    readonly at: number
    readonly notAfter: number
  }
  readonly new_publication: { readonly audience: 'members' | 'public'; readonly at: number }
  /**
   * `which`: the mailbox that is written to, or another one of its subscriber's. `until`: when the old certificates are
   * revoked, unless an old device proves the mailbox again.
   */
  readonly mailbox_moved: { readonly which: 'this' | 'another'; readonly at: number; readonly until: number }
  readonly revocation: { readonly reason: string | null; readonly at: number }
  /** `which`: how much of the certificate's term is left, at most; `at`: when that was looked at. */
  readonly running_out: {
    readonly use: 'sign' | 'encrypt' | 'dual'
    readonly which: 'third' | 'twelfth'
    readonly at: number
    readonly notAfter: number
  }
}
export type MailKind = keyof MailParameters
