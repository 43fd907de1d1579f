import type { MailParameters } from '../content.ts'

/** A paragraph of words, or an address to open, which stands alone and reads as what it is. */
export type Paragraph = string | { readonly link: string }

/** What a mail says, in the order in which it says it. */
export interface MailWords {
  readonly subject: string
  readonly paragraphs: readonly Paragraph[]
}

/** A challenge as it is mailed: with the address of its page, where there is one. */
export type ShownChallenge = MailParameters['challenge'] & { readonly link: string | null }

/** Who sends a mail: the host that the service is found at, and who runs it, where that is set. */
export interface MailSender {
  readonly host: string
  readonly controller: string | null
}

/** The words of one language, one function for each mail. */
export type Words = {
  readonly challenge: (parameters: ShownChallenge) => MailWords
} & { readonly [K in Exclude<keyof MailParameters, 'challenge'>]: (parameters: MailParameters[K]) => MailWords } & {
  /** The last words of every mail: who sends it and why. */
  readonly ending: (sender: MailSender) => readonly string[]
}
