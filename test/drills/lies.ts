import type { Lie } from '../support/lying-ca.ts'
import { forms, type Form } from '../support/lying-ca-forms.ts'

/** How a request stands after a lie: as an operator sees it, and as the device does. */
export interface Ending {
  readonly state: 'failed' | 'rejected' | 'outcome_unknown' | 'received' | 'pending' | 'issued'
  readonly reason: string | null
  readonly lastFailure: string | null
  /** Whether the operator can look at the certificate that came back. */
  readonly returned: boolean
}

/** One lie, and how it is to end for each wire form that can tell it. */
export interface ToldLie {
  readonly name: string
  readonly lie: Lie
  readonly ends: Partial<Readonly<Record<Form, Ending>>>
}

/** A certificate that came back and breaks a rule. */
export const unfit = (reason: string): Ending => ({ state: 'failed', reason, lastFailure: null, returned: true })
/** Nobody knows whether the CA has issued. */
export const unclear = (lastFailure: string): Ending => ({
  state: 'outcome_unknown',
  reason: null,
  lastFailure,
  returned: false,
})
/** The CA says that it did not issue, and never will. */
export const refused = (reason: string): Ending => ({ state: 'failed', reason, lastFailure: reason, returned: false })
/** The CA says that it did not issue now. */
export const waiting = (lastFailure: string): Ending => ({
  state: 'received',
  reason: null,
  lastFailure,
  returned: false,
})
export const issued: Ending = { state: 'issued', reason: null, lastFailure: null, returned: false }
export const pending: Ending = { state: 'pending', reason: null, lastFailure: null, returned: false }

/** The same end for all of these. */
export const ends = (ending: Ending, ...among: readonly Form[]): ToldLie['ends'] =>
  Object.fromEntries((among.length === 0 ? forms : among).map((form) => [form, ending]))
