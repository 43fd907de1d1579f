import { commit } from '../audit/commit.ts'
import { byService, type OwnEvent } from '../audit/entries.ts'
import { onLatestRows } from '../ports/authority.ts'
import type { Command } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import {
  endDevice,
  readActiveDevicesOf,
  readUnsettledDevices,
  requireNoMailboxBut,
  settleDevice,
} from './device/store.ts'
import { returnMilliseconds } from './mailbox/move.ts'
import { readMailboxesOf, readUnsettledMailboxes, requireStillEnded, settleMailbox } from './mailbox/store.ts'

/** A mailbox or device that has ended, with consequences still to come. */
export interface EndedPart {
  readonly id: string
  readonly kind: 'mailbox' | 'device'
  /** UTC milliseconds. */
  readonly endedAt: number
  /** Guards: they break a batch if the part has come back meanwhile. */
  readonly requireStillEnded: readonly Command[]
  /** Notes that the consequences have happened. Goes no further if the part came back or was settled already. */
  settle(): Promise<void>
}

const rowsPerPage = 50
/** So many devices end in one batch. */
const devicesAtOnce = 50

type ConsequenceDeps = Pick<RegistrationDeps, 'database' | 'clock' | 'audit' | 'keys' | 'events'>

interface EndedMailbox {
  readonly id: string
  readonly subscriber: string
  readonly endedAt: number
}

const settlingOf = (mailbox: string): OwnEvent => ({
  action: 'mailbox.settled',
  ...byService,
  subjectKind: 'mailbox',
  subject: mailbox,
})

/** The answer to a broken guard: the part came back, or another process settled it. Nothing is left to do. */
const nothingToSettle = (): void => undefined

async function settleEndedDevice(deps: ConsequenceDeps, id: string): Promise<void> {
  await commit(
    deps,
    {
      commands: settleDevice(id, deps.clock()),
      audit: { action: 'device.settled', ...byService, subjectKind: 'device', subject: id },
    },
    nothingToSettle,
  )
}

/** Settles a mailbox. If the subscriber has no mailbox left, and none that may come back, all devices end too. */
async function settleEndedMailbox(deps: ConsequenceDeps, ended: EndedMailbox): Promise<void> {
  while (!(await settleStep(deps, ended)));
}

/** Resolves to whether nothing more is to be done. */
const settleStep = (deps: ConsequenceDeps, ended: EndedMailbox): Promise<boolean> =>
  onLatestRows(async () => {
    const others = (await readMailboxesOf(deps, ended.subscriber)).filter(({ id }) => id !== ended.id)
    const isLeft = others.some(
      ({ endedAt, endReason, settledAt }) => endedAt === null || (endReason === 'moved' && settledAt === null),
    )
    return isLeft ? settleAlone(deps, ended) : settleWithDevices(deps, ended)
  })

const settleAlone = async (deps: ConsequenceDeps, { id, endedAt }: EndedMailbox): Promise<boolean> => {
  await commit(deps, { commands: settleMailbox(id, endedAt, deps.clock()), audit: settlingOf(id) }, nothingToSettle)
  return true
}

/**
 * Ends some devices, and settles the mailbox with the last ones. No device joins meanwhile, as that needs a mailbox; one
 * that is left may still bring a mailbox back, and then the others stay. Resolves to whether nothing more is to be done.
 */
async function settleWithDevices(deps: ConsequenceDeps, { id, subscriber, endedAt }: EndedMailbox): Promise<boolean> {
  const first = { at: Number.MAX_SAFE_INTEGER, id: '' }
  const ending = await readActiveDevicesOf(deps, subscriber, first, devicesAtOnce)
  const areLast = ending.length < devicesAtOnce
  const now = deps.clock()
  const outcomes = await commit(
    deps,
    {
      commands: [
        ...(areLast ? settleMailbox(id, endedAt, now) : requireStillEnded(id, endedAt)),
        ...ending.flatMap((device) => endDevice(deps.keys, device, now)),
        requireNoMailboxBut(id, subscriber),
      ],
      audit: [
        ...(areLast ? [settlingOf(id)] : []),
        ...ending.map((device) => ({
          action: 'device.ended',
          ...byService,
          subjectKind: 'device',
          subject: device.id,
          facts: { reason: 'no mailbox left' },
        })),
      ],
    },
    nothingToSettle,
  )
  return areLast || outcomes === undefined
}

/**
 * Yields everything that has ended and has consequences now: first mailboxes that were removed or moved more than seven
 * days ago, then devices. It reads page by page and no page twice, so one part that fails does not stop the others.
 */
export async function* endedParts(deps: ConsequenceDeps): AsyncGenerator<EndedPart> {
  const movedBefore = deps.clock() - returnMilliseconds
  for (let after = { at: 0, id: '' }; ;) {
    const rows = await readUnsettledMailboxes(deps.database, movedBefore, after, rowsPerPage)
    for (const row of rows) {
      yield {
        id: row.id,
        kind: 'mailbox',
        endedAt: row.endedAt,
        requireStillEnded: requireStillEnded(row.id, row.endedAt),
        settle: () => settleEndedMailbox(deps, row),
      }
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < rowsPerPage) break
    after = { at: last.endedAt, id: last.id }
  }
  for (let after = { at: 0, id: '' }; ;) {
    const rows = await readUnsettledDevices(deps.database, after, rowsPerPage)
    for (const { id, endedAt } of rows) {
      yield { id, kind: 'device', endedAt, requireStillEnded: [], settle: () => settleEndedDevice(deps, id) }
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < rowsPerPage) return
    after = { at: last.endedAt, id: last.id }
  }
}
