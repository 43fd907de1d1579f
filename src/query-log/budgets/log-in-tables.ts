import { toHex } from '../../pki/encoding.ts'
import { ConstraintFailed, GuardBroken, type Command, type Database } from '../../ports/database.ts'
import type { Journal } from '../../ports/journal.ts'
import { sealText, type Keys } from '../../ports/keys.ts'
import {
  BudgetSpent,
  isBudgetSpent,
  countOwnScopes,
  sharesOf,
  timesNamed,
  type LookupEntry,
  type LookupLog,
  type LookupScope,
} from '../../ports/lookup-log.ts'
import type { Clock, Random } from '../../ports/runtime.ts'
import { LogIds } from '../log-ids.ts'
import { logPlace } from '../log-place.ts'
import { insertRecent } from '../store.ts'
import { CountedAddresses, NamedAddresses } from './counted.ts'
import { readCount, readMiscounted, spend, type Count } from './store.ts'
import { dayNumberOf } from '../../ports/time.ts'

/** Bytes of each keyed hash. No two addresses of a day meet by chance. */
const keyBytes = 16

interface LogDeps {
  readonly journal: Journal
  readonly keys: Keys
  readonly clock: Clock
  readonly random: Random
}

/** A count and its shard. */
interface ShardedCount extends Count {
  readonly kind: LookupScope['kind']
  readonly shard: Database
}

/**
 * The query log and its budgets in the tables of the journal's shards. A scope in another shard than the asker's is
 * charged before the rows are written, and stays charged if that fails.
 */
export function createLogInTables(deps: LogDeps): LookupLog {
  const ids = new LogIds(() => new DataView(deps.random.bytes(4).buffer).getUint32(0))
  const counted = new CountedAddresses()
  const named = new NamedAddresses()

  // No address holds NUL, so these texts differ from all matching keys and from each other.
  const keyOf = (...parts: readonly string[]): Uint8Array =>
    deps.keys.blindIndex(`lookup-budget\0${parts.join('\0')}`).subarray(0, keyBytes)

  /** `own` is the name of the asker's own scope. */
  const countOf = (own: string, scope: LookupScope, day: number, fresh: readonly string[]): ShardedCount => ({
    kind: scope.kind,
    day,
    limit: scope.limit,
    shard: deps.journal.shard(scope.name),
    scope: keyOf(String(day), scope.name),
    addressKeys: JSON.stringify(fresh.map((key) => toHex(keyOf(String(day), scope.name, own, key)))),
  })

  /**
   * The counts to which the call adds, the asker's own first, each with the limit that its guard holds: where the call
   * needs the asker's share of a spent budget, the asker's own count must stay within that share. Throws `BudgetSpent`.
   */
  const growing = async (counts: readonly ShardedCount[]): Promise<ShardedCount[]> => {
    const states = await Promise.all(counts.map((count) => readCount(count.shard.reading('primary'), count)))
    const after = states.map((state) => (state?.used ?? 0) + (state?.fresh ?? 0))
    const [ofAsker = 0] = after
    const ownScopeCount = countOwnScopes(counts)
    let ownLimit = counts[0]?.limit ?? 0
    const limits = counts.map(({ kind, limit }, index) => {
      const used = after[index] ?? 0
      const isGrowing = (states[index]?.fresh ?? 0) > 0
      if (!isGrowing || used <= limit) return limit
      if (isBudgetSpent(limit, index < ownScopeCount, used, ofAsker)) throw new BudgetSpent([kind])
      ownLimit = Math.min(ownLimit, sharesOf(limit).each)
      return sharesOf(limit).withShares
    })
    return counts
      .map((count, index) => ({ ...count, limit: index === 0 ? ownLimit : (limits[index] ?? 0) }))
      .filter((_, index) => (states[index]?.fresh ?? 0) > 0)
  }

  /** Charges the scopes in other shards than the asker's. Resolves to the commands for the asker's own. */
  const chargeElsewhere = async (counts: readonly ShardedCount[], own: Database): Promise<Command[]> => {
    const together: Command[] = []
    for (const count of counts) {
      if (count.shard === own) together.push(...spend(count))
      else await count.shard.batch(spend(count))
    }
    return together
  }

  const write = async ({ asker, device, addresses }: LookupEntry, first: readonly Command[]): Promise<void> => {
    const at = deps.clock()
    await deps.keys.journal.prepare(at)
    const rows = addresses.map(({ address, matchingKey, status }) => {
      const id = ids.next(at)
      const addressSealed = sealText(deps.keys.journal, logPlace(id), address)
      const addressKey = deps.keys.journal.index('query_log.address_key', matchingKey)
      return insertRecent({ id, at, asker, device, status, addressKey, payer: null, addressSealed })
    })
    await deps.journal.shard(asker).batch([...first, ...rows])
  }

  /** Two writers of one shard may choose the same id. It is then tried with the next ids. */
  const writeWithFreeIds = async (entry: LookupEntry, first: readonly Command[]): Promise<void> => {
    try {
      await write(entry, first)
    } catch (error) {
      if (!(error instanceof ConstraintFailed) || error.kind !== 'unique') throw error
      await write(entry, first)
    }
  }

  return {
    record: async (entry) => {
      const { asker, scopes } = entry
      const day = dayNumberOf(deps.clock())
      const payer = scopes.map(({ name }) => name).join('\0')
      const keys = entry.addresses.map(({ matchingKey }) => matchingKey)
      const [own] = scopes
      if (own !== undefined && named.of(day, payer) + keys.length > timesNamed * own.limit) {
        throw new BudgetSpent([own.kind])
      }
      const unknown = counted.unknown(day, payer, keys)
      const counts =
        unknown.length === 0
          ? []
          : await growing(scopes.map((scope) => countOf(own?.name ?? asker, scope, day, unknown)))
      try {
        await writeWithFreeIds(entry, await chargeElsewhere(counts, deps.journal.shard(asker)))
      } catch (error) {
        if (!(error instanceof GuardBroken)) throw error
        throw new BudgetSpent(
          counts.map(({ kind }) => kind),
          { cause: error },
        )
      }
      counted.add(day, payer, unknown)
      named.add(day, payer, keys.length)
    },
    faults: async () => {
      const today = dayNumberOf(deps.clock())
      const faults = await Promise.all(deps.journal.shards().map((shard) => readMiscounted(shard, today)))
      return faults
        .flat()
        .map(({ day, used, addresses }) => `on day ${day} ${used} are counted and ${addresses} are kept`)
    },
  }
}
