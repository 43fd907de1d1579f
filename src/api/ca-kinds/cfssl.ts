import { z } from 'zod'
import { exampleCertificate, exampleSettings, remote, shortText, type CaKindFacts } from './common.ts'

const settings = z.strictObject({
  ...remote,
  kind: z.literal('cfssl'),
  /** The profile for rules that name none. Null: the CA's default. */
  profile: shortText.nullable().default(null),
  label: shortText.nullable().default(null),
  /** False if every profile has a `CSRWhitelist` that takes only the key. Otherwise CFSSL copies names from the CSR. */
  takesContentFromCsr: z.boolean().default(true),
  /** The key of `authsign`; null for `sign`. Null in a change keeps the present one. */
  authKey: z
    .string()
    .regex(/^(?:[0-9a-fA-F]{2}){16,64}$/, 'must be 16 to 64 bytes in hexadecimal')
    .nullable()
    .default(null),
})
export type CfsslSettings = z.output<typeof settings>

/** What Go answers for a path that CFSSL does not serve. */
const noSuchPath = '404 page not found'

export const cfsslFacts = {
  kind: 'cfssl',
  settings,
  secrets: { authKey: 'CERTBOOK_CA_AUTH_KEY' },
  // Without a certificate database CFSSL answers each revocation with an error, and no look at it tells.
  revokesWhere: 'where it has a certificate database',
  adviceOn: {
    [noSuchPath]: 'CFSSL has no such endpoint: has the url a path, or is an authKey needed, or not needed?',
  },
} as const satisfies CaKindFacts

/** In the API reference. */
export const cfsslExample = {
  ...exampleSettings,
  kind: 'cfssl',
  url: 'https://ca.example.com',
  tlsAnchors: exampleCertificate,
  profile: 'mail-dual',
  authKey: '00112233445566778899aabbccddeeff',
}
