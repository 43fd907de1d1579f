import { z } from 'zod'
import { cfssl } from './cfssl.ts'
import type { CaKindFacts } from './common.ts'
import { ejbca } from './ejbca.ts'
import { est } from './est.ts'
import { manual } from './manual.ts'
import { stepCa } from './step-ca.ts'

/** The kinds of CAs that others run. An adapter for each stands in the room of the CAs. */
export const caKinds = [cfssl, stepCa, est, ejbca, manual] as const

export const caSettings = z.discriminatedUnion('kind', [
  cfssl.settings,
  stepCa.settings,
  est.settings,
  ejbca.settings,
  manual.settings,
])

/** The facts of a kind. Undefined for the CA inside. */
export const factsOfKind = (kind: unknown): CaKindFacts | undefined => caKinds.find((known) => known.kind === kind)

/** The fields of settings that are secret. They are kept sealed and never shown. */
export const secretFields: ReadonlySet<string> = new Set(caKinds.flatMap(({ secrets }) => Object.keys(secrets)))
