import { commit } from '../audit/commit.ts'
import { byService } from '../audit/entries.ts'
import type { Command } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import { endDevicesWithoutMailbox, readActiveDevicesOf, readUnsettledDevices, settleDevice } from './device/store.ts'
import { returnMilliseconds } from './mailbox/move.ts'
import { readMailboxesOf, readUnsettledMailboxes, requireStillEnded, settleMailbox } from './mailbox/store.ts'

/** Something that has ended and whose consequences are due. */
export interface EndedPart {
  readonly id: string
  readonly kind: 'mailbox' | 'device'
  /** UTC milliseconds. */
  readonly endedAt: number
  /** Breaks a batch with a guard where it has come back meanwhile. */
  readonly requireStillEnded: readonly Command[]
  /** Notes that the consequences are drawn; where it has come back meanwhile, or that is noted, nothing is. */
  settle(): Promise<void>
}

const rowsPerPage = 50
/** More than anybody has. */
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

/** Settles a mailbox; with the last one that could come back the devices of its subscriber end. */
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
 * What has ended and has consequences that are due, in pages: mailboxes that moved more than seven days ago or were
 * removed, then devices. A page that was read is not read again, so what fails holds up nothing else.
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
