import { z } from 'zod'
import { mailboxChallenge, remote, shortText, type CaKindFacts } from './common.ts'

const settings = z.strictObject({
  ...remote,
  kind: z.literal('ejbca'),
  certificateProfile: shortText,
  endEntityProfile: shortText,
  certificateAuthority: shortText,
  /** Whether its profiles copy names and extensions from the CSR. */
  takesContentFromCsr: z.boolean().default(true),
  authentication: z.enum(['token', 'client-certificate']),
  token: z.string().min(1).max(8_000).nullable().default(null),
  mailboxChallenge,
})
export type EjbcaSettings = z.output<typeof settings>

export const ejbcaFacts = {
  kind: 'ejbca',
  settings,
  secrets: { token: 'CERTBOOK_CA_TOKEN' },
} as const satisfies CaKindFacts
