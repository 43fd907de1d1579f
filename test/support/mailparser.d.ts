/** The part of mailparser that the tests use; the package ships no types. */
declare module 'mailparser' {
  export interface ParsedMail {
    readonly subject?: string
    readonly text?: string
    readonly html?: string | false
    readonly date?: Date
    readonly messageId?: string
    readonly headers: ReadonlyMap<string, unknown>
    readonly from?: { readonly text: string }
    readonly to?: { readonly text: string }
    readonly attachments: readonly unknown[]
  }

  export function simpleParser(
    message: string,
    options: { readonly skipTextToHtml: boolean; readonly skipHtmlToText: boolean },
  ): Promise<ParsedMail>
}
