import type { Mailer } from '../ports/mailer.ts'
import { readDestinations } from './destinations.ts'
import type { MailFolder } from './mail-folder.ts'
import { MailHook } from './mail-hook.ts'
import { createOutgoingHttps } from './outgoing-https.ts'
import { Smtp } from './smtp.ts'

/** The settings that say how mail is sent. Without one, mail stays in the development folder. */
interface MailWays {
  readonly smtpUrl: string | null
  readonly mailHookUrl: string | null
  readonly mailHookToken: string | null
  readonly mailHookAllow: readonly string[]
}

/** The mailer that the settings name, and a function that closes it. */
export function chooseMailer(ways: MailWays, folder: MailFolder): { mailer: Mailer; close: () => void } {
  if (ways.smtpUrl !== null) {
    const smtp = new Smtp(ways.smtpUrl)
    return { mailer: smtp, close: () => smtp.close() }
  }
  const nothingToClose = (): void => undefined
  if (ways.mailHookUrl !== null) {
    const outgoing = createOutgoingHttps(readDestinations(ways.mailHookAllow))
    return { mailer: new MailHook(outgoing, ways.mailHookUrl, ways.mailHookToken), close: nothingToClose }
  }
  return { mailer: folder, close: nothingToClose }
}
