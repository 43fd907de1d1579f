import { z } from 'zod'
import { cfsslFacts } from './cfssl.ts'
import type { CaKindFacts } from './common.ts'
import { ejbcaFacts } from './ejbca.ts'
import { estFacts } from './est.ts'
import { manualFacts } from './manual.ts'
import { stepCaFacts } from './step-ca.ts'

/** The kinds of CAs that others run. An adapter for each stands in the room of the CAs. */
export const caKinds = [cfsslFacts, stepCaFacts, estFacts, ejbcaFacts, manualFacts] as const

export const caSettings = z.discriminatedUnion('kind', [
  cfsslFacts.settings,
  stepCaFacts.settings,
  estFacts.settings,
  ejbcaFacts.settings,
  manualFacts.settings,
])

/** The facts of a kind. Undefined for the CA inside. */
export const factsOfKind = (kind: unknown): CaKindFacts | undefined => caKinds.find((known) => known.kind === kind)

/** The fields of settings that are secret. They are kept sealed and never shown. */
export const secretFields: ReadonlySet<string> = new Set(caKinds.flatMap(({ secrets }) => Object.keys(secrets)))
