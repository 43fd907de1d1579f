import type { MailParameters } from '../content.ts'

/** A paragraph of text, or a link. A link stands alone and shows its address. */
export type Paragraph = string | { readonly link: string }

export interface MailWords {
  readonly subject: string
  readonly paragraphs: readonly Paragraph[]
}

/** A challenge with the address of its page. Null: it has no page. */
export type ShownChallenge = MailParameters['challenge'] & { readonly link: string | null }

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
