import { z } from 'zod'
import { common, mailboxChallenge, type CaKindFacts } from './common.ts'

const settings = z.strictObject({ ...common, kind: z.literal('manual'), mailboxChallenge })
export type ManualSettings = z.output<typeof settings>

export const manualFacts = { kind: 'manual', settings, secrets: {} } as const satisfies CaKindFacts
