/** A budget: addresses that are counted together on one UTC day, and their limit. */
export interface LookupScope {
  readonly kind: 'subscriber' | 'domain' | 'network'
  /** Unique among all scopes of all kinds. */
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
   * The asker's own scope comes first. It counts the asker's distinct addresses of the day. Every other scope counts
   * the sum of these over its askers. Where these are several people, each has a share; see `isBudgetSpent`.
   */
  readonly scopes: readonly LookupScope[]
  readonly addresses: readonly LookedUpAddress[]
}

/** The query log and the lookup budgets. The log sets the time of an entry. */
export interface LookupLog {
  /**
   * Charges the budgets and logs one row for each address. Resolves when the rows are durable. Rejects with
   * `BudgetSpent`: then nothing is charged or logged. Rejects with another error if the journal cannot be written:
   * then no answer may go out.
   */
  record(entry: LookupEntry): Promise<void>
  /** Faults, in words: budgets that do not agree with the stored lookups of today. */
  faults(): Promise<readonly string[]>
}

/** Asker, device and scopes as one text, for the thread that writes the log. */
export const payerText = ({ asker, device, scopes }: Pick<LookupEntry, 'asker' | 'device' | 'scopes'>): string => {
  let whole = `${asker}\n${device ?? ''}`
  for (const { name } of scopes) whole += `\n${name}`
  return whole
}

/** Reads a text that `payerText` made. */
export function readPayerText(whole: string): { asker: string; device: string | null; scopes: string[] } {
  const [asker = '', device = '', ...scopes] = whole.split('\n')
  return { asker, device: device === '' ? null : device, scopes }
}

/** A lookup in the form for that thread. */
export interface PackedLookup {
  readonly payer: string
  /** In the order of the payer's scopes. */
  readonly limits: readonly number[]
  /** See `countOwnScopes`. */
  readonly ownScopeCount: number
  readonly addresses: readonly LookedUpAddress[]
}

/** What the rows of one UTC day of the query log were, when the day was over. */
export interface LogDay {
  /** Such as 2026-11-21. */
  readonly day: string
  readonly rows: number
  /** The root of a Merkle tree over the commitments of the rows, in hexadecimal. */
  readonly root: string
}

/** How often a day an asker may name a budget's worth of addresses. Each time costs a row in the query log. */
export const timesNamed = 20

/**
 * What a budget that askers share keeps for those who ask for little: a hundredth of it is the share of each. Where it is
 * spent, they may take a quarter more of it together.
 */
export const sharesOf = (limit: number): { readonly each: number; readonly withShares: number } => ({
  each: Math.max(1, Math.floor(limit / 100)),
  withShares: limit + Math.floor(limit / 4),
})

/** How many of the scopes, from the first on, are those of the asker alone: nobody needs a share of them. */
export const countOwnScopes = (scopes: readonly Pick<LookupScope, 'kind'>[]): number => {
  const shared = scopes.findIndex(({ kind }, index) => index > 0 && kind !== 'subscriber')
  return shared === -1 ? scopes.length : shared
}

/**
 * Whether a call would pass a budget. Few cannot spend what others need of one that people share. `used` and `ofAsker` are
 * the counts of the budget and of the asker alone, with the call.
 */
export function isBudgetSpent(limit: number, isOwn: boolean, used: number, ofAsker: number): boolean {
  if (used <= limit) return false
  if (isOwn) return true
  const { each, withShares } = sharesOf(limit)
  return ofAsker > each || used > withShares
}

/** The lookup has more new addresses than these scopes have left today. */
export class BudgetSpent extends Error {
  readonly kinds: readonly LookupScope['kind'][]

  constructor(kinds: readonly LookupScope['kind'][], options?: ErrorOptions) {
    super(`lookup budget spent: ${kinds.join(', ')}`, options)
    this.name = 'BudgetSpent'
    this.kinds = kinds
  }
}
