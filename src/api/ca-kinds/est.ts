import { z } from 'zod'
import { exampleCertificate, exampleSettings, mailboxChallenge, remote, secret, type CaKindFacts } from './common.ts'

const password = z.strictObject({ user: secret, password: secret })

const settings = z.strictObject({
  ...remote,
  kind: z.literal('est'),
  /** The CA label in the path, RFC 7030 section 3.2.2. */
  label: z
    .string()
    .regex(/^[\w.-]{1,100}$/)
    .nullable()
    .default(null),
  authentication: z.enum(['password', 'client-certificate']),
  password: password.nullable().default(null),
  /** Whether the CA answers the same request with the certificate that it issued before. */
  answersAgain: z.boolean().default(false),
  mailboxChallenge,
})
export type EstSettings = z.output<typeof settings>

export const estFacts = {
  kind: 'est',
  settings,
  secrets: { password: { user: 'CERTBOOK_CA_USER', password: 'CERTBOOK_CA_PASSWORD' } },
} as const satisfies CaKindFacts

/** In the API reference. */
export const estExample = {
  ...exampleSettings,
  kind: 'est',
  url: 'https://ca.example.com',
  tlsAnchors: exampleCertificate,
  timeoutSeconds: 30,
  label: 'smime',
  authentication: 'client-certificate',
  answersAgain: false,
  mailboxChallenge: null,
}
