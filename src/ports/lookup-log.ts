/** Addresses that are counted together on one UTC day, and how many there may be. */
export interface LookupScope {
  readonly kind: 'subscriber' | 'domain' | 'network'
  /** Unlike that of any other scope, of whatever kind. */
  readonly name: string
  readonly limit: number
}

/** One address that was asked for. */
export interface LookedUpAddress {
  readonly address: string
  readonly matchingKey: string
  readonly status: 'found' | 'not_found'
}

/** One lookup: who asked, who pays for it, and the distinct addresses. */
export interface LookupEntry {
  /** The id of a subscriber, or a truncated network. */
  readonly asker: string
  /** Null for a network. */
  readonly device: string | null
  /**
   * The asker's own scope comes first. It counts the asker's distinct addresses of the day; every other scope counts the
   * sum of these over all its askers.
   */
  readonly scopes: readonly LookupScope[]
  readonly addresses: readonly LookedUpAddress[]
}

/** The query log, with the budgets that a lookup must keep to. The time of an entry is the log's own. */
export interface LookupLog {
  /**
   * Charges the budgets and resolves once one row per address is durable. Rejects with `BudgetSpent`, and then nothing is
   * charged or logged; with another error where the journal cannot be written, and then no answer may go out.
   */
  record(entry: LookupEntry): Promise<void>
  /** Where the budgets do not count what is kept of today's lookups, in words. */
  faults(): Promise<readonly string[]>
}

/** Asker, device and scopes in one text, as they pass to the thread that writes the log. */
export const payerText = ({ asker, device, scopes }: Pick<LookupEntry, 'asker' | 'device' | 'scopes'>): string => {
  let whole = `${asker}\n${device ?? ''}`
  for (const { name } of scopes) whole += `\n${name}`
  return whole
}

/** Takes apart what `payerText` made. */
export function readPayerText(whole: string): { asker: string; device: string | null; scopes: string[] } {
  const [asker = '', device = '', ...scopes] = whole.split('\n')
  return { asker, device: device === '' ? null : device, scopes }
}

/** A lookup as it passes to that thread. */
export interface PackedLookup {
  readonly payer: string
  /** In the order of the payer's scopes. */
  readonly limits: readonly number[]
  readonly addresses: readonly LookedUpAddress[]
}

/** How many times over an asker may name a budget's worth of addresses a day: each time is a row in the query log. */
export const timesNamed = 20

/** The addresses that are new to the day are more than these scopes have left. */
export class BudgetSpent extends Error {
  readonly kinds: readonly LookupScope['kind'][]

  constructor(kinds: readonly LookupScope['kind'][], options?: ErrorOptions) {
    super(`lookup budget spent: ${kinds.join(', ')}`, options)
    this.name = 'BudgetSpent'
    this.kinds = kinds
  }
}
