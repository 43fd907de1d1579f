import type { DomainError } from '../errors.ts'
import { GuardBroken, type Command } from './database.ts'

/** Who pays for rows that stay, and how many units there are for each of them within a day. A network is a /24 or /48. */
interface RowBudget {
  readonly payer: 'network' | 'subscriber' | 'device' | 'service'
  readonly perDay: number
}

const budget = (payer: RowBudget['payer'], perDay: number): RowBudget => ({ payer, perDay })

/**
 * The budgets of everybody who is no administrator. What a route leaves of each unit stands beside the route
 * (`src/api/rows-left.ts`). The anonymous routes together leave at most 2,000 rows of a network and day.
 */
export const rowBudgets = {
  /** A registration that was begun, with all that may become of it before a mailbox is proved. */
  registration: budget('network', 200),
  /** A challenge to whoever holds a key that is reported. */
  key_report: budget('network', 60),
  /** A compromised key that is not known here. */
  unknown_key: budget('network', 50),
  /** What a member does that leaves a trace and has no budget of its own. */
  act: budget('subscriber', 300),
  /** A request for a certificate, with all that may become of it and of the certificate. */
  certificate_request: budget('subscriber', 100),
  /** A token that is mailed to prove a mailbox, with what is done with the proof. */
  mailbox_proof: budget('device', 480),
  /** One address of a lookup: at most 500 distinct ones, each named twenty times. */
  lookup: budget('subscriber', 10_000),
  /** The newest report of a device, which takes the place of the last. */
  check_in: budget('device', 1),
  /** The first administrator. */
  bootstrap: budget('service', 1),
} as const satisfies Readonly<Record<string, RowBudget>>
export type RowBudgetName = keyof typeof rowBudgets

/** Pays for the rows of one change. */
export interface Payment {
  readonly from: RowBudgetName
  /** What takes from the budget, with its guard: the first commands of the batch. */
  readonly commands: readonly Command[]
  /** The refusal where that guard broke. Null for every other guard. */
  readonly refusal: (guard: GuardBroken) => DomainError | null
}

/**
 * The payment for rows that a unit of this budget has paid for already: they are bounded by a guard of the change itself,
 * or come once for a thing that was paid for when it began.
 */
export const paidWith = (from: RowBudgetName): Payment => ({ from, commands: [], refusal: () => null })

/** Runs a batch with the commands of a payment before all others. Throws the refusal where nothing is left. */
export async function paying<T>(payment: Payment, run: (commands: readonly Command[]) => Promise<T>): Promise<T> {
  try {
    return await run(payment.commands)
  } catch (error) {
    throw (error instanceof GuardBroken ? payment.refusal(error) : null) ?? error
  }
}
