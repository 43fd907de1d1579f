import { DomainError } from '../errors.ts'
import type { Journal } from '../ports/journal.ts'
import { sealText, type Keys } from '../ports/keys.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import type { Clock } from '../ports/runtime.ts'
import type { LogIds } from './log-ids.ts'
import { insertRecent } from './store.ts'

/** One recipient address that was asked for, and what came back. */
interface AskedAddress {
  readonly address: string
  readonly status: 'found' | 'not_found'
}

/** Who asked: a subscriber and the device, or a truncated network and no device. */
interface Asker {
  readonly asker: string
  readonly device: string | null
}

/**
 * Resolves once one row per address is durable, and with them, in the same batch and before them, what `first` writes
 * into the asker's shard. Rejects with `log_unavailable`, and then no answer may go out; with `GuardBroken` where a
 * guard of `first` did not hold, and then nothing was written.
 */
export type RecordLookup = (asker: Asker, asked: readonly AskedAddress[], first: readonly Command[]) => Promise<void>

/** The refusal of a lookup that cannot be accounted for in the journal. */
export const logUnavailable = (cause: unknown): DomainError =>
  new DomainError('log_unavailable', 'The lookup could not be logged, so it is not answered. Try again shortly.', {
    retryAfterSeconds: 5,
    cause,
  })

interface RecordDeps {
  readonly journal: Journal
  readonly keys: Keys
  readonly clock: Clock
  readonly ids: LogIds
}

const addressPlace = (id: number) => ({ table: 'query_log', column: 'address_sealed', row: id })

/** Opens the address of a log row, in whichever of the two tables it lies. */
export const logPlace = addressPlace

async function write(
  deps: RecordDeps,
  asker: Asker,
  asked: readonly AskedAddress[],
  first: readonly Command[],
): Promise<void> {
  const at = deps.clock()
  await deps.keys.journal.prepare(at)
  const rows = asked.map(({ address, status }) => {
    const id = deps.ids.next(at)
    const addressSealed = sealText(deps.keys.journal, addressPlace(id), address)
    return insertRecent({ id, at, asker: asker.asker, device: asker.device, status, addressSealed })
  })
  await deps.journal.shard(asker.asker).batch([...first, ...rows])
}

export const createRecordLookup =
  (deps: RecordDeps): RecordLookup =>
  async (asker, asked, first) => {
    if (asked.length === 0) return
    try {
      try {
        await write(deps, asker, asked, first)
      } catch (error) {
        // Two writers of one shard met on an id: the next ids are others.
        if (!(error instanceof ConstraintFailed) || error.kind !== 'unique') throw error
        await write(deps, asker, asked, first)
      }
    } catch (error) {
      throw error instanceof GuardBroken ? error : logUnavailable(error)
    }
  }
