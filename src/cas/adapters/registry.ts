import { cfssl } from './cfssl/cfssl.ts'
import { ejbca } from './ejbca/ejbca.ts'
import { est } from './est/est.ts'
import type { KnownKind } from './kind.ts'
import { manual } from './manual/manual.ts'
import { stepCa } from './step-ca/step-ca.ts'

/** Every kind of CA besides the one inside. */
export const adapterKinds: readonly KnownKind[] = [cfssl, stepCa, est, ejbca, manual]

/** The kind of CA by its name. The CA inside is not among them. */
export function adapterKind(kind: string): KnownKind {
  const found = adapterKinds.find((known) => known.kind === kind)
  if (found === undefined) throw new Error(`there is no adapter for CAs of the kind ${kind}`)
  return found
}
