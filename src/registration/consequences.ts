import { commit } from '../audit/commit.ts'
import { byService } from '../audit/entries.ts'
import type { Command } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import { endDevicesWithoutMailbox, readActiveDevicesOf, readUnsettledDevices, settleDevice } from './device/store.ts'
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
  /** Notes that the consequences have happened. Does nothing if the part came back or was settled already. */
  settle(): Promise<void>
}

const rowsPerPage = 50
/** More devices than anybody has. */
const devicesOfOne = 200

type ConsequenceDeps = Pick<RegistrationDeps, 'database' | 'clock' | 'audit'>

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
async function settleEndedMailbox(
  deps: ConsequenceDeps,
  { id, subscriber, endedAt }: { id: string; subscriber: string; endedAt: number },
): Promise<void> {
  const others = (await readMailboxesOf(deps.database, subscriber)).filter((mailbox) => mailbox.id !== id)
  const isLeft = others.some(
    ({ endedAt: ended, endReason, settledAt }) => ended === null || (endReason === 'moved' && settledAt === null),
  )
  const first = { at: Number.MAX_SAFE_INTEGER, id: '' }
  const ending = isLeft ? [] : await readActiveDevicesOf(deps.database, subscriber, first, devicesOfOne)
  await commit(
    deps,
    {
      commands: [...settleMailbox(id, endedAt, deps.clock()), endDevicesWithoutMailbox(subscriber, deps.clock())],
      audit: [
        { action: 'mailbox.settled', ...byService, subjectKind: 'mailbox', subject: id },
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
