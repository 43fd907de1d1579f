import { z } from 'zod'

const time = z.number().int()
const common = { recipient: z.string(), language: z.enum(['de', 'en']) }

const mail = <K extends string, P extends z.ZodRawShape>(kind: K, parameters: P) =>
  z.strictObject({ ...common, kind: z.literal(kind), parameters: z.strictObject(parameters) })

/** What is sealed of a mail until it is sent, by its kind. */
export const mailContent = z.discriminatedUnion('kind', [
  mail('challenge', {
    registration: z.string(),
    token: z.string(),
    purpose: z.enum(['registration', 'add', 'prove']),
    deviceType: z.string(),
    startedAt: time,
  }),
  mail('new_device', { deviceType: z.string(), at: time }),
  mail('new_certificate', { use: z.enum(['sign', 'encrypt', 'dual']), at: time, notAfter: time }),
  mail('new_publication', { audience: z.enum(['members', 'public']), at: time }),
  mail('mailbox_moved', { which: z.enum(['this', 'another']), at: time, until: time }),
  mail('revocation', { reason: z.string().nullable(), at: time }),
  mail('running_out', {
    use: z.enum(['sign', 'encrypt', 'dual']),
    which: z.enum(['third', 'twelfth']),
    at: time,
    notAfter: time,
  }),
])
export type MailContent = z.infer<typeof mailContent>

/** Version 0.1 knew one mail only, and wrote its time as people read it: `2026-11-21 12:00 UTC`. */
const contentOfFirstVersion = z
  .strictObject({
    ...common,
    parameters: z.strictObject({
      registration: z.string(),
      token: z.string(),
      deviceType: z.string(),
      startedAt: z.string().regex(/^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/),
    }),
  })
  .transform(({ parameters, ...content }): MailContent => {
    const startedAt = Date.parse(parameters.startedAt.replace(' ', 'T').replace(' UTC', 'Z'))
    return { ...content, kind: 'challenge', parameters: { ...parameters, purpose: 'registration', startedAt } }
  })

/** Reads what was sealed, by this version or by the one before it. */
export const queuedContent = z.union([mailContent, contentOfFirstVersion])
