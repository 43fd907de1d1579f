import { DomainError } from '../../errors.ts'
import type { Events } from '../../events.ts'
import { toHex } from '../../pki/encoding.ts'
import { GuardBroken, type Command, type Database } from '../../ports/database.ts'
import type { Journal } from '../../ports/journal.ts'
import type { Keys } from '../../ports/keys.ts'
import type { Clock } from '../../ports/runtime.ts'
import { logUnavailable } from '../../query-log/record.ts'
import { CountedAddresses, NamedAddresses } from './counted.ts'
import { readCount, spend, type Count } from './store.ts'

const dayMilliseconds = 86_400_000
/** Of the keyed hashes that are kept; among the addresses of a day no two meet by chance. */
const keyBytes = 16

/**
 * How many times over an asker may name a budget's worth of addresses on a day. Asking again costs no budget, but each
 * time is a row in the query log: without an end to it one asker could fill the disk.
 */
const timesNamed = 20

/** UTC days since 1970. */
export const dayOf = (at: number): number => Math.floor(at / dayMilliseconds)

/** Whose addresses of a day are counted together, and how many there may be. */
export interface Scope {
  readonly kind: 'subscriber' | 'domain' | 'network'
  /** Unlike that of any other scope, of whatever kind; chooses the shard too. */
  readonly name: string
  readonly limit: number
}

/** Who asks: where their log rows lie, and the scopes that pay, the one first that is to be charged first. */
export interface Payer {
  readonly id: string
  readonly scopes: readonly Scope[]
}

/** Writes the log rows of a lookup and, in the same batch before them, what it is given. */
type WriteLog = (first: readonly Command[]) => Promise<void>

/** A lookup that was within its budgets when it came. */
interface Charge {
  /**
   * Counts its addresses and records it, in one batch as far as one shard holds both; a scope of another shard is
   * charged before, and stays charged whatever happens then. Rejects with `lookup_budget_spent` where others were
   * faster, and then nothing is recorded; else as `record`.
   */
  settle(record: WriteLog): Promise<void>
}

/**
 * Opens the charge of a lookup for distinct addresses, by their matching keys. Rejects with `lookup_budget_spent` where
 * those that are new to the day are more than are left of any scope, or the day's calls name the budget twenty times over;
 * with `log_unavailable` where that cannot be told.
 */
export type OpenCharge = (payer: Payer, matchingKeys: readonly string[]) => Promise<Charge>

interface BudgetDeps {
  readonly journal: Journal
  readonly keys: Keys
  readonly clock: Clock
  readonly events: Events
}

/** A count, and the shard in which it is kept. */
interface ShardedCount extends Count {
  readonly kind: Scope['kind']
  readonly shard: Database
}

/** Of a lookup that names no address. */
const withoutCharge: Charge = { settle: (record) => record([]) }

/** The budgets of distinct addresses a UTC day. */
export function createOpenCharge(deps: BudgetDeps): OpenCharge {
  const counted = new CountedAddresses()
  const named = new NamedAddresses()

  // NUL stands in no address, so none of these texts is the matching key of one, nor the text of another scope.
  const keyOf = (...parts: readonly string[]): Uint8Array =>
    deps.keys.blindIndex(`lookup-budget\0${parts.join('\0')}`).subarray(0, keyBytes)

  const countOf = ({ kind, name, limit }: Scope, day: number, matchingKeys: readonly string[]): ShardedCount => ({
    kind,
    day,
    limit,
    shard: deps.journal.shard(name),
    scope: keyOf(String(day), name),
    addressKeys: JSON.stringify(matchingKeys.map((key) => toHex(keyOf(String(day), name, key)))),
  })

  const spent = (kinds: readonly Scope['kind'][], cause?: unknown): DomainError => {
    const now = deps.clock()
    deps.events.lookupBudgetSpent({ of: [...new Set(kinds)].join(' or ') })
    return new DomainError(
      'lookup_budget_spent',
      'The call asks for more addresses than are left for today. Ask for fewer, or again after midnight UTC.',
      { retryAfterSeconds: Math.ceil(((dayOf(now) + 1) * dayMilliseconds - now) / 1_000), cause },
    )
  }

  /** Those counts that the call adds to. Throws `lookup_budget_spent`, `log_unavailable`. */
  const growing = async (counts: readonly ShardedCount[]): Promise<ShardedCount[]> => {
    const states = await Promise.all(counts.map((count) => readCount(count.shard.reading('primary'), count))).catch(
      (error: unknown) => {
        throw logUnavailable(error)
      },
    )
    return counts.filter(({ kind, limit }, index) => {
      const { used, fresh } = states[index] ?? { used: 0, fresh: 0 }
      if (fresh > 0 && used + fresh > limit) throw spent([kind])
      return fresh > 0
    })
  }

  /** Charges scopes whose shard is not the asker's; resolves to what is to be written into that one. */
  const chargeElsewhere = async (counts: readonly ShardedCount[], own: Database): Promise<Command[]> => {
    const together: Command[] = []
    for (const count of counts) {
      if (count.shard === own) together.push(...spend(count))
      else await count.shard.batch(spend(count)).catch(rethrowUnlessGuard)
    }
    return together
  }

  return async (payer, matchingKeys) => {
    if (matchingKeys.length === 0) return withoutCharge
    const day = dayOf(deps.clock())
    const asker = payer.scopes.map(({ name }) => name).join('\0')
    const own = payer.scopes.filter(({ kind }) => kind !== 'domain')
    const most = timesNamed * Math.min(...own.map(({ limit }) => limit))
    if (named.of(day, asker) + matchingKeys.length > most) throw spent(own.map(({ kind }) => kind))
    const unknown = counted.unknown(day, asker, matchingKeys)
    const settled = (): void => {
      counted.add(day, asker, unknown)
      named.add(day, asker, matchingKeys.length)
    }
    if (unknown.length === 0) return { settle: (record) => record([]).then(settled) }
    const counts = await growing(payer.scopes.map((scope) => countOf(scope, day, unknown)))
    return {
      settle: async (record) => {
        try {
          await record(await chargeElsewhere(counts, deps.journal.shard(payer.id)))
        } catch (error) {
          throw error instanceof GuardBroken
            ? spent(
                counts.map(({ kind }) => kind),
                error,
              )
            : error
        }
        settled()
      },
    }
  }
}

const rethrowUnlessGuard = (error: unknown): never => {
  throw error instanceof GuardBroken ? error : logUnavailable(error)
}
