import { verifiersOf } from '../api/credentials.ts'
import { commit } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { onLatestRows } from '../ports/authority.ts'
import type { Command } from '../ports/database.ts'
import { openText, sealText } from '../ports/keys.ts'
import { randomId, randomSecret } from '../ports/runtime.ts'
import { announcementCommand } from './announcements.ts'
import { ended, stateOf } from './confirm.ts'
import type { RegistrationDeps } from './deps.ts'
import { seenDayOf } from './device/seen.ts'
import { factsOfRegistration } from './device-facts.ts'
import { insertDevice, readDeviceOfRegistration, replaceUnusedCredential, type DeviceRow } from './device/store.ts'
import { moveAwayCommands, takeForgedAway } from './mailbox/move.ts'
import {
  insertMailbox,
  isHoldingChanged,
  readHolding,
  renewProof,
  type Holding,
  type MailboxRow,
} from './mailbox/store.ts'
import { mailboxesOf, openMailbox } from './mailboxes.ts'
import { completeRegistration, insertSubscriber, readRegistration, type RegistrationRow } from './store.ts'
import { paidWith } from '../ports/row-budgets.ts'
import { payForAct } from './act-budget.ts'

/** After how many seconds a device that waits for approval asks again. */
const askAgainSeconds = 5

export interface MintedCredential {
  readonly subscriberId: string
  readonly deviceId: string
  readonly mailbox: string
  readonly credential: string
}

/**
 * Gives a device its credential, which is shown once, and decides to whom the mailbox belongs:
 * - If the mailbox has no subscriber, it gets a new one.
 * - If a device of its subscriber approved this one, this one joins.
 * - Otherwise the mailbox moves to a new subscriber. It does not move if `waitForApproval` is set, or if its subscriber
 *   has proved it since.
 * Until the credential is first used a repeat replaces it, so a lost answer locks nobody out. Throws
 * `registration_not_confirmed`, `registration_completed`, `registration_ended`, `approval_pending`, `too_many_requests`.
 */
export async function mintCredential(
  deps: RegistrationDeps,
  registration: RegistrationRow,
  waitForApproval: boolean,
): Promise<MintedCredential> {
  const credential = randomSecret(deps.random, 'cb_dev_')
  let row = registration
  // The loop starts again only after another call changed something for good, so it ends.
  for (;;) {
    const state = stateOf(row, deps.clock())
    if (state === 'ended') throw ended()
    if (state === 'pending') {
      throw new DomainError('registration_not_confirmed', 'Confirm the mailbox first, with the token that was mailed.')
    }
    if (row.state === 'completed') return replaceCredential(deps, row, credential)
    const { holder, forged } = await readHolding(deps, row.addressIndex)
    try {
      if (holder !== null && row.approvedFor === holder.subscriber) return await join(deps, row, holder, credential)
      if (holder !== null && waitForApproval) throw approvalPending()
      if (holder !== null && !isNewerProof(row, holder)) throw outProved()
      return await createSubscriber(deps, row, { holder, forged }, credential)
    } catch (error) {
      if (!isHoldingChanged(error)) throw error
    }
    const again = await readRegistration(deps, row.id)
    if (again === null) throw ended()
    row = again
  }
}

/**
 * The latest proof decides who has a mailbox. A confirmation that waited for hours takes it from nobody who proved it
 * later.
 */
const isNewerProof = (row: RegistrationRow, holder: MailboxRow): boolean =>
  row.confirmedAt !== null && row.confirmedAt >= holder.verifiedAt

const outProved = (): DomainError =>
  new DomainError(
    'registration_ended',
    'The mailbox has been proved by its subscriber since this registration was confirmed. Start a new one.',
  )

const approvalPending = (): DomainError =>
  new DomainError(
    'approval_pending',
    'This mailbox is registered. Approve this device with one of its devices, or ask without waitForApproval to take the mailbox over.',
    { retryAfterSeconds: askAgainSeconds },
  )

const addressOf = (deps: RegistrationDeps, row: RegistrationRow): string =>
  openText(deps.keys.main, { table: 'registrations', column: 'address_sealed', row: row.id }, row.addressSealed)

/**
 * Makes the commands that every new device needs: its row, the terms it acknowledged, and the notice to the mailbox.
 */
async function newDevice(
  deps: RegistrationDeps,
  row: RegistrationRow,
  to: { id: string; subscriber: string; address: string; language?: string },
  credential: string,
): Promise<Command[]> {
  const now = deps.clock()
  const facts = factsOfRegistration(deps.keys, row)
  const { id, subscriber } = to
  const place = { table: 'devices', column: 'facts_sealed', row: id }
  return [
    insertDevice(deps.keys, {
      id,
      subscriber,
      registration: row.id,
      credentialVerifier: verifiersOf(deps.keys, 'devices.credential', credential)[0],
      credentialUsedAt: null,
      factsSealed: sealText(deps.keys.main, place, JSON.stringify(facts)),
      createdAt: now,
      seenAt: seenDayOf(id, now),
    }),
    deps.consent.acknowledgeTerms({ subscriber, device: id }, row.policyVersion),
    await announcementCommand(
      deps,
      to,
      { kind: 'new_device', about: id },
      {
        deviceType: facts.deviceType,
        at: now,
      },
    ),
  ]
}

function registered(deps: RegistrationDeps, minted: MintedCredential): MintedCredential {
  deps.mail.sendSoon()
  deps.events.deviceRegistered({ subscriber: minted.subscriberId, device: minted.deviceId })
  return minted
}

/** Adds the device to the subscriber that approved it. It read the mail, so the mailbox counts as proved again. */
async function join(
  deps: RegistrationDeps,
  row: RegistrationRow,
  holder: MailboxRow,
  credential: string,
): Promise<MintedCredential> {
  const now = deps.clock()
  const { subscriber } = holder
  const { address } = openMailbox(deps.keys, holder)
  const deviceId = randomId(deps.random)
  await commit(deps, {
    commands: [
      ...completeRegistration(deps.keys, row, deviceId),
      ...renewProof(deps.keys, holder, row.confirmedAt ?? now),
      ...(await newDevice(deps, row, { id: deviceId, subscriber, address }, credential)),
    ],
    audit: {
      action: 'device.joined',
      actorKind: 'device',
      actor: deviceId,
      subjectKind: 'subscriber',
      subject: subscriber,
      facts: { mailbox: holder.id, registration: row.id, approvedBy: row.approvedBy },
    },
    payment: paidWith('registration'),
  })
  deps.onMailboxProved(holder.id)
  return registered(deps, { subscriberId: subscriber, deviceId, mailbox: address, credential })
}

/** Makes a new subscriber with the mailbox. If another subscriber had it, it moves away from them in the same batch. */
async function createSubscriber(
  deps: RegistrationDeps,
  row: RegistrationRow,
  { holder, forged }: Holding,
  credential: string,
): Promise<MintedCredential> {
  const now = deps.clock()
  const address = addressOf(deps, row)
  const { language } = factsOfRegistration(deps.keys, row)
  const subscriber = randomId(deps.random)
  const deviceId = randomId(deps.random)
  const mailboxId = randomId(deps.random)
  const place = { table: 'mailboxes', column: 'address_sealed', row: mailboxId }
  const payment = paidWith('registration')
  await commit(deps, {
    commands: [
      ...completeRegistration(deps.keys, row, deviceId),
      ...(holder === null ? [] : await moveAwayCommands(deps, holder, { device: deviceId, payment })),
      ...(forged === null ? [] : takeForgedAway(deps, forged)),
      insertSubscriber(deps.keys, { id: subscriber, language, createdAt: now }),
      insertMailbox(deps.keys, {
        id: mailboxId,
        subscriber,
        addressSealed: sealText(deps.keys.main, place, address),
        addressIndex: row.addressIndex,
        accountType: row.accountType,
        verifiedAt: row.confirmedAt ?? now,
        createdAt: now,
      }),
      ...(await newDevice(deps, row, { id: deviceId, subscriber, address, language }, credential)),
    ],
    audit: {
      action: 'subscriber.registered',
      actorKind: 'device',
      actor: deviceId,
      subjectKind: 'subscriber',
      subject: subscriber,
      facts: { mailbox: mailboxId, registration: row.id },
      personal: { address },
    },
    payment,
  })
  if (holder !== null) deps.events.mailboxMoved({ mailbox: holder.id })
  return registered(deps, { subscriberId: subscriber, deviceId, mailbox: address, credential })
}

/** Gives a device another credential, as long as it has used none. Resolves to the device. */
const replaceUnused = (deps: RegistrationDeps, registration: string, credential: string): Promise<DeviceRow> =>
  onLatestRows(async () => {
    const device = await readDeviceOfRegistration(deps, registration)
    if (device === null || device.endedAt !== null) throw ended()
    if (device.credentialUsedAt !== null) {
      throw new DomainError('registration_completed', 'The credential of this registration is in use already.')
    }
    await commit(deps, {
      commands: replaceUnusedCredential(deps.keys, device, verifiersOf(deps.keys, 'devices.credential', credential)[0]),
      audit: {
        action: 'credential.replaced',
        actorKind: 'device',
        actor: device.id,
        subjectKind: 'device',
        subject: device.id,
      },
      payment: payForAct(deps.clock, device.subscriber),
    })
    return device
  })

async function replaceCredential(
  deps: RegistrationDeps,
  row: RegistrationRow,
  credential: string,
): Promise<MintedCredential> {
  const device = await replaceUnused(deps, row.id, credential)
  const mailboxes = await mailboxesOf(deps, device.subscriber)
  const own = mailboxes.find(({ addressIndex }) => equalSecrets(addressIndex, row.addressIndex))
  const mailbox = own?.address ?? addressOf(deps, row)
  return { subscriberId: device.subscriber, deviceId: device.id, mailbox, credential }
}
