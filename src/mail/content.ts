import { z } from 'zod'
import { guardedAct } from '../api/shapes.ts'

export type MailLanguage = 'de' | 'en'

const time = z.number().int()
const use = z.enum(['sign', 'encrypt', 'dual'])
const common = { recipient: z.string(), language: z.enum(['de', 'en']) }

const mail = <K extends string, P extends z.ZodRawShape>(kind: K, parameters: P) =>
  z.strictObject({ ...common, kind: z.literal(kind), parameters: z.strictObject(parameters) })

/**
 * The mails that the service may send. It sends no other. Add a kind here, in the CHECK of the schema, and in the
 * disclosures together. Times are UTC milliseconds. The content is sealed until the mail is sent.
 */
export const mailContent = z.discriminatedUnion('kind', [
  mail('challenge', {
    /** The id of the registration, or of the challenge to a subscriber's mailbox, that the token belongs to. */
    registration: z.string(),
    token: z.string(),
    purpose: z.enum(['registration', 'add', 'prove']),
    /** What a device wants to do with the proof; null: nothing else. */
    act: guardedAct.nullable(),
    deviceType: z.string(),
    startedAt: time,
    /** Other registrations of the same address that wait for a mail, the oldest first. */
    also: z.array(
      z.strictObject({ registration: z.string(), token: z.string(), deviceType: z.string(), startedAt: time }),
    ),
  }),
  mail('new_device', { deviceType: z.string(), at: time }),
  mail('new_certificate', { use, at: time, notAfter: time }),
  mail('new_publication', { audience: z.enum(['members', 'public']), at: time }),
  mail('mailbox_moved', {
    /** `this`: the mailbox that gets the mail has moved. `another`: another mailbox of the subscriber has. */
    which: z.enum(['this', 'another']),
    at: time,
    /** When the old certificates are revoked, unless an old device proves the mailbox again before. */
    until: time,
  }),
  mail('revocation', { reason: z.string().nullable(), at: time }),
  mail('running_out', {
    use,
    /** At most this part of the certificate's lifetime is left. */
    which: z.enum(['third', 'twelfth']),
    at: time,
    notAfter: time,
  }),
])
export type MailContent = z.infer<typeof mailContent>
export type MailKind = MailContent['kind']
export type MailParameters = { readonly [K in MailKind]: Readonly<Extract<MailContent, { kind: K }>['parameters']> }
