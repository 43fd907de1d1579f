import { z } from 'zod'
import { remote, shortText, type CaKindFacts } from './common.ts'

const settings = z.strictObject({
  ...remote,
  kind: z.literal('step-ca'),
  /** The name of the JWK provisioner with the public key of this connection. */
  provisioner: shortText,
})
export type StepCaSettings = z.output<typeof settings>

export const stepCaFacts = { kind: 'step-ca', settings, secrets: {} } as const satisfies CaKindFacts
