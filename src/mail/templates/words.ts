import type { MailParameters } from '../content.ts'

/** A paragraph of text, or a link. A link stands alone and shows its address. */
export type Paragraph = string | { readonly link: string }

export interface MailWords {
  readonly subject: string
  readonly paragraphs: readonly Paragraph[]
}

/** Another registration that a challenge speaks for. */
export interface ShownOther {
  readonly deviceType: string
  readonly startedAt: number
  readonly link: string
}

/** A challenge with the address of its page. Null: it has no page. */
export type ShownChallenge = Omit<MailParameters['challenge'], 'also'> & {
  readonly link: string | null
  readonly also: readonly ShownOther[]
}

/** Who sends a mail: the host of the service, and who runs it if that is set. */
export interface MailSender {
  readonly host: string
  readonly controller: string | null
}

/** The words of one language: one function per mail. */
export type Words = {
  readonly challenge: (parameters: ShownChallenge) => MailWords
} & { readonly [K in Exclude<keyof MailParameters, 'challenge'>]: (parameters: MailParameters[K]) => MailWords } & {
  /** The end of every mail: who sends it and why. */
  readonly ending: (sender: MailSender) => readonly string[]
}
