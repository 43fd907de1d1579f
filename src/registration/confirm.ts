import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { ConstraintFailed, GuardBroken } from '../ports/database.ts'
import { deviceFacts } from '../api/shapes.ts'
import { openText, sealText } from '../ports/keys.ts'
import { randomId, randomSecret } from '../ports/runtime.ts'
import type { RegistrationDeps } from './deps.ts'
import {
  completeRegistration,
  confirmRegistration,
  countWrongToken,
  insertDevice,
  insertMailbox,
  insertSubscriber,
  readDeviceOfRegistration,
  readRegistration,
  replaceUnusedCredential,
  type RegistrationRow,
} from './store.ts'

const ended = (): DomainError =>
  new DomainError('registration_ended', 'This registration has ended. Start a new one with POST /v1/registrations.')

/**
 * The registration that a device secret belongs to. An unknown id and a wrong secret are the same
 * `credential_invalid`, so that ids cannot be tried out.
 */
export async function requireRegistration(
  deps: RegistrationDeps,
  id: string,
  deviceSecret: string,
): Promise<RegistrationRow> {
  const row = await readRegistration(deps.database, id)
  const expected = row?.deviceSecretSha256 ?? new Uint8Array(32)
  if (!equalSecrets(expected, deps.hashSecret(deviceSecret)) || row === null) {
    throw new DomainError('credential_invalid', 'The device secret is not the one of this registration.')
  }
  return row
}

/** What the device that started it is shown. */
export const stateOf = (row: RegistrationRow, now: number): 'pending' | 'confirmed' | 'ended' => {
  if (row.state === 'completed') return 'confirmed'
  if (row.state === 'ended' || row.expiresAt <= now) return 'ended'
  return row.state
}

/**
 * Proves the mailbox with the mailed token. A repeat with the same token gets the same answer. Throws `token_wrong`
 * and, after the fifth of those, `registration_ended`.
 */
export async function confirm(deps: RegistrationDeps, row: RegistrationRow, token: string): Promise<void> {
  const now = deps.clock()
  const tokenSha256 = deps.hashSecret(token)
  const rightToken = equalSecrets(row.tokenSha256, tokenSha256)
  const state = stateOf(row, now)
  if (state === 'ended') throw ended()
  if (!rightToken) return refuseToken(deps, row)
  if (state === 'confirmed') return undefined
  try {
    await deps.database.batch([
      ...confirmRegistration(row.id, tokenSha256, now),
      ...deps.audit.record({
        action: 'registration.confirmed',
        actorKind: 'anyone',
        actor: null,
        subjectKind: 'registration',
        subject: row.id,
        facts: { by: 'mailed token' },
      }),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    const again = await readRegistration(deps.database, row.id)
    if (again === null || stateOf(again, now) !== 'confirmed') throw ended()
    return undefined
  }
  deps.audit.sealSoon()
  deps.events.registrationConfirmed({ registration: row.id })
  return undefined
}

async function refuseToken(deps: RegistrationDeps, row: RegistrationRow): Promise<never> {
  await deps.database.batch([countWrongToken(row.id)])
  const after = await readRegistration(deps.database, row.id)
  if (after?.state === 'ended') {
    deps.events.registrationEnded({ registration: row.id, reason: 'five wrong tokens' })
    throw ended()
  }
  throw new DomainError('token_wrong', 'Send the value of the Certbook-Token header of the newest mail.')
}

export interface MintedCredential {
  readonly subscriberId: string
  readonly deviceId: string
  readonly mailbox: string
  readonly credential: string
}

/**
 * Turns a confirmed registration into subscriber, mailbox and device, and gives the device its credential, which is
 * shown this once. Until the credential is used a repeat replaces it, so that a lost answer strands nobody.
 * Throws `registration_not_confirmed`, `registration_completed`, `registration_ended`, `mailbox_already_registered`.
 */
export async function mintCredential(deps: RegistrationDeps, row: RegistrationRow): Promise<MintedCredential> {
  const now = deps.clock()
  const state = stateOf(row, now)
  if (state === 'ended') throw ended()
  if (state === 'pending') {
    throw new DomainError('registration_not_confirmed', 'Confirm the mailbox first, with the token that was mailed.')
  }
  const credential = randomSecret(deps.random, 'cb_dev_')
  if (row.state === 'completed') return replaceCredential(deps, row, credential)
  try {
    return await createSubscriber(deps, row, credential)
  } catch (error) {
    if (error instanceof ConstraintFailed && error.constraint === 'mailboxes.address_index') {
      throw new DomainError(
        'mailbox_already_registered',
        'This mailbox has a subscriber already. Joining it from a second device, or moving the mailbox, comes with a later version.',
        { cause: error },
      )
    }
    if (!(error instanceof GuardBroken)) throw error
    // Another call of the same device was faster: its subscriber is this one's too.
    return replaceCredential(deps, row, credential)
  }
}

const addressOf = (deps: RegistrationDeps, row: RegistrationRow): string =>
  openText(deps.keys.main, { table: 'registrations', column: 'address_sealed', row: row.id }, row.addressSealed)

async function createSubscriber(
  deps: RegistrationDeps,
  row: RegistrationRow,
  credential: string,
): Promise<MintedCredential> {
  const now = deps.clock()
  const address = addressOf(deps, row)
  const factsText = openText(
    deps.keys.main,
    { table: 'registrations', column: 'device_sealed', row: row.id },
    row.deviceSealed,
  )
  const { language } = deviceFacts.parse(JSON.parse(factsText))
  const subscriberId = randomId(deps.random)
  const deviceId = randomId(deps.random)
  const mailboxId = randomId(deps.random)
  await deps.database.batch([
    ...completeRegistration(row.id, deviceId, now),
    insertSubscriber({ id: subscriberId, language, createdAt: now }),
    insertMailbox({
      id: mailboxId,
      subscriber: subscriberId,
      addressSealed: sealText(
        deps.keys.main,
        { table: 'mailboxes', column: 'address_sealed', row: mailboxId },
        address,
      ),
      addressIndex: row.addressIndex,
      accountType: row.accountType,
      verifiedAt: row.confirmedAt ?? now,
      createdAt: now,
    }),
    insertDevice({
      id: deviceId,
      subscriber: subscriberId,
      registration: row.id,
      credentialSha256: deps.hashSecret(credential),
      factsSealed: sealText(deps.keys.main, { table: 'devices', column: 'facts_sealed', row: deviceId }, factsText),
      createdAt: now,
    }),
    deps.consent.acknowledgeTerms({ subscriber: subscriberId, device: deviceId }, row.policyVersion),
    ...deps.audit.record({
      action: 'subscriber.registered',
      actorKind: 'device',
      actor: deviceId,
      subjectKind: 'subscriber',
      subject: subscriberId,
      facts: { mailbox: mailboxId, registration: row.id },
      personal: { address },
    }),
  ])
  deps.audit.sealSoon()
  deps.events.deviceRegistered({ subscriber: subscriberId, device: deviceId })
  return { subscriberId, deviceId, mailbox: address, credential }
}

async function replaceCredential(
  deps: RegistrationDeps,
  row: RegistrationRow,
  credential: string,
): Promise<MintedCredential> {
  const device = await readDeviceOfRegistration(deps.database, row.id)
  if (device === null) throw ended()
  try {
    await deps.database.batch([
      ...replaceUnusedCredential(row.id, deps.hashSecret(credential)),
      ...deps.audit.record({
        action: 'credential.replaced',
        actorKind: 'device',
        actor: device.id,
        subjectKind: 'device',
        subject: device.id,
      }),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    throw new DomainError('registration_completed', 'The credential of this registration is in use already.', {
      cause: error,
    })
  }
  deps.audit.sealSoon()
  return { subscriberId: device.subscriber, deviceId: device.id, mailbox: addressOf(deps, row), credential }
}
