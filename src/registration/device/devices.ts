import { verifiersOf } from '../../api/credentials.ts'
import type { z } from 'zod'
import { timestamp, type DeviceCaller } from '../../api/room.ts'
import { pageFrom, readCursor } from '../../api/paging.ts'
import type { DeviceFacts, ownDevice } from '../../api/shapes.ts'
import { commit } from '../../audit/commit.ts'
import { DomainError } from '../../errors.ts'
import { onLatestRows } from '../../ports/authority.ts'
import { randomSecret } from '../../ports/runtime.ts'
import type { RegistrationDeps } from '../deps.ts'
import { lastSeenDay } from './seen.ts'
import { factsOfDevice, factsOfRegistration } from '../device-facts.ts'
import { commitAfterRecentProof } from '../recent-proof.ts'
import {
  approveRegistration,
  endRegistration,
  readApprovedBy,
  readNewcomers,
  readRegistration,
  requireNewcomer,
  voidApprovals,
} from '../store.ts'
import {
  endDevice,
  keepNextCredential,
  readActiveDevicesOf,
  readDevice,
  readDeviceOfRegistration,
  type DeviceRow,
} from './store.ts'
import { paidWith } from '../../ports/row-budgets.ts'
import { payForAct } from '../act-budget.ts'

type OwnDevice = z.infer<typeof ownDevice>

/** More than anybody can tell apart. Each of them proved the mailbox with a mail of its own. */
const newcomersShown = 50

const noSuchDevice = (): DomainError => new DomainError('not_found', 'You have no such device, and none such waits.')

/** The facts that are shown of a device. The serial number is never shown. */
const shown = ({ appVersion, deviceType, osVersion, language }: DeviceFacts) => ({
  appVersion,
  deviceType,
  osVersion,
  language,
})

const presentDevice = (deps: RegistrationDeps, caller: DeviceCaller, row: DeviceRow): OwnDevice => ({
  id: row.id,
  state: 'active',
  current: row.id === caller.deviceId,
  ...shown(factsOfDevice(deps.keys, row)),
  createdAt: timestamp(row.createdAt),
  lastSeenAt: timestamp(lastSeenDay(row.seenAt, deps.clock())),
})

const presentNewcomer = (
  deps: RegistrationDeps,
  row: { id: string; deviceSealed: Uint8Array; createdAt: number },
): OwnDevice => ({
  id: row.id,
  state: 'awaiting_approval',
  current: false,
  ...shown(factsOfRegistration(deps.keys, row)),
  createdAt: timestamp(row.createdAt),
  lastSeenAt: null,
})

/**
 * Lists the devices of the caller's subscriber, newest first. The first page begins with the devices that wait for
 * approval.
 */
export async function devicesOf(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  page: { limit: number; cursor?: string | undefined },
): Promise<{ items: OwnDevice[]; next: string | null }> {
  const rows = await readActiveDevicesOf(deps, caller.subscriberId, readCursor(page.cursor), page.limit + 1)
  const { rows: devices, next } = pageFrom(rows, page.limit)
  const newcomers =
    page.cursor === undefined ? await readNewcomers(deps, caller.subscriberId, deps.clock(), newcomersShown) : []
  const items = [
    ...newcomers.map((row) => presentNewcomer(deps, row)),
    ...devices.map((row) => presentDevice(deps, caller, row)),
  ]
  return { items, next }
}

/**
 * Approves a device that has proved one of the caller's mailboxes. It becomes a device of the subscriber when it asks
 * for its credential. A repeat changes nothing. Throws `not_found`, `mailbox_proof_required`.
 */
export const approveDevice = (deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<OwnDevice> =>
  onLatestRows(async () => {
    const row = await readRegistration(deps, id)
    if (row === null) throw noSuchDevice()
    if (row.state === 'completed') return joinedDevice(deps, caller, id)
    if (row.approvedFor === caller.subscriberId) return waitingDevice(deps, caller, id)
    const approved = await commitAfterRecentProof(
      deps,
      { caller, act: 'device_approve' },
      {
        commands: [requireNewcomer(id, caller, deps.clock()), ...approveRegistration(deps.keys, row, caller)],
        audit: {
          action: 'device.approved',
          actorKind: 'device',
          actor: caller.deviceId,
          subjectKind: 'registration',
          subject: id,
          facts: { subscriber: caller.subscriberId },
        },
        payment: paidWith('registration'),
      },
      () => null,
    )
    return approved === null ? joinedDevice(deps, caller, id) : presentNewcomer(deps, row)
  })

/** The answer to a repeated approval, after the device has joined. */
async function joinedDevice(deps: RegistrationDeps, caller: DeviceCaller, registration: string): Promise<OwnDevice> {
  const device = await readDeviceOfRegistration(deps, registration)
  if (device?.subscriber !== caller.subscriberId || device.endedAt !== null) throw noSuchDevice()
  return presentDevice(deps, caller, device)
}

async function waitingDevice(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<OwnDevice> {
  const newcomers = await readNewcomers(deps, caller.subscriberId, deps.clock(), newcomersShown)
  const found = newcomers.find((newcomer) => newcomer.id === id)
  if (found === undefined) throw noSuchDevice()
  return presentNewcomer(deps, found)
}

/**
 * Ends a device of the caller's subscriber together with its credential, or rejects a device that waits for approval. A
 * repeat changes nothing. Throws `not_found`, `mailbox_proof_required`.
 */
export const removeDevice = (deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<void> =>
  onLatestRows(() => removeDeviceAsItIs(deps, caller, id))

async function removeDeviceAsItIs(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<void> {
  const device = await readDevice(deps, id)
  if (device === null) {
    await rejectNewcomer(deps, caller, id)
    return
  }
  if (device.subscriber !== caller.subscriberId) throw noSuchDevice()
  if (device.endedAt !== null) return
  // A device that is removed by another one is not trusted, so the devices that it approved are not either. A device
  // that removes itself may have made room for the one that it approved.
  const approved = id === caller.deviceId ? [] : await readApprovedBy(deps.database, id)
  await commitAfterRecentProof(
    deps,
    { caller, act: 'device_end' },
    {
      commands: [
        ...endDevice(deps.keys, device, deps.clock()),
        ...(id === caller.deviceId ? [] : voidApprovals(deps.keys, id, approved)),
        ...deps.onDeviceEnded(id),
      ],
      audit: {
        action: 'device.removed',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'device',
        subject: id,
      },
      payment: paidWith('registration'),
    },
  )
  deps.events.deviceEnded({ device: id })
  deps.onConsequencesDue()
}

async function rejectNewcomer(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<void> {
  const row = await readRegistration(deps, id)
  await commitAfterRecentProof(
    deps,
    { caller, act: 'device_end' },
    {
      commands: [requireNewcomer(id, caller, deps.clock()), ...(row === null ? [] : endRegistration(deps.keys, row))],
      audit: {
        action: 'device.rejected',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'registration',
        subject: id,
      },
      payment: paidWith('registration'),
    },
    () => {
      throw noSuchDevice()
    },
  )
  deps.events.registrationEnded({ registration: id, reason: 'turned away by the subscriber' })
}

/**
 * Makes the next credential of the calling device, which is shown once. The present credential works until the next one
 * is first used. Until then a repeat replaces the next one, so a lost answer locks nobody out. Throws
 * `credential_invalid`, `too_many_requests`.
 */
export async function rotateCredential(deps: RegistrationDeps, caller: DeviceCaller): Promise<string> {
  const credential = randomSecret(deps.random, 'cb_dev_')
  await onLatestRows(async () => {
    const device = await readDevice(deps, caller.deviceId)
    if (device === null || device.endedAt !== null) {
      throw new DomainError('credential_invalid', 'The device has ended. Register it again.')
    }
    await commit(deps, {
      commands: keepNextCredential(deps.keys, device, verifiersOf(deps.keys, 'devices.credential', credential)[0]),
      audit: {
        action: 'credential.rotation_asked',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'device',
        subject: caller.deviceId,
      },
      payment: payForAct(deps.clock, caller.subscriberId),
    })
  })
  return credential
}
