import { DomainError } from '../errors.ts'
import type { DeviceFacts, RegistrationRequest } from '../api/shapes.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { sealText } from '../ports/keys.ts'
import { randomId, randomSecret, randomUserCode } from '../ports/runtime.ts'
import { mailLanguageFor } from '../mail/templates.ts'
import type { RegistrationDeps } from './deps.ts'
import { insertRegistration } from './store.ts'

/** SBR 4.2.1: a mailbox challenge is good for 24 hours at most. */
const challengeMilliseconds = 24 * 3_600_000

export interface StartedRegistration {
  readonly id: string
  readonly deviceSecret: string
  readonly userCode: string
  readonly expiresAt: number
}

/** The disclosures name a serial number for Android only, so no other device may send one. */
const requireAllowedFacts = (device: DeviceFacts): void => {
  if (device.serialNumber === null || /android/i.test(`${device.deviceType} ${device.osVersion}`)) return
  throw new DomainError('serial_number_not_android', 'Only an Android device sends its serial number: send null.')
}

/**
 * The device's own words reach somebody who may never have asked for them: nothing in them may read as a link, and
 * there is no room for a message.
 */
const shownDeviceType = (deviceType: string): string =>
  deviceType
    .replaceAll(/[^\p{L}\p{N} -]+/gu, ' ')
    .trim()
    .slice(0, 30)

/**
 * Begins a registration: keeps what the device said, and mails a token to the address, to that address alone.
 * The answer is the same whether or not the address is known. Throws address refusals and
 * `policy_version_not_in_force`.
 */
export async function startRegistration(
  deps: RegistrationDeps,
  request: RegistrationRequest,
): Promise<StartedRegistration> {
  const { device, accountType, policyVersion } = request
  deps.consent.requireTermsInForce(policyVersion)
  requireAllowedFacts(device)
  const mailbox = parseMailboxAddress(request.email)
  const now = deps.clock()
  const id = randomId(deps.random)
  const deviceSecret = randomSecret(deps.random, 'cb_reg_')
  const token = randomSecret(deps.random, '')
  const userCode = randomUserCode(deps.random)
  const addressIndex = deps.keys.blindIndex(mailbox.matchingKey)
  const expiresAt = now + challengeMilliseconds
  const seal = (column: string, value: string): Uint8Array =>
    sealText(deps.keys.main, { table: 'registrations', column, row: id }, value)
  await deps.database.batch([
    insertRegistration({
      id,
      addressSealed: seal('address_sealed', mailbox.address),
      addressIndex,
      accountType,
      policyVersion,
      deviceSealed: seal('device_sealed', JSON.stringify(device)),
      deviceSecretSha256: deps.hashSecret(deviceSecret),
      tokenSha256: deps.hashSecret(token),
      userCodeSealed: seal('user_code_sealed', userCode),
      createdAt: now,
      expiresAt,
    }),
    deps.mail.queue({
      kind: 'challenge',
      dedupeKey: `challenge/${id}`,
      recipient: mailbox.address,
      recipientIndex: addressIndex,
      language: mailLanguageFor(device.language, deps.mailLanguage),
      parameters: {
        registration: id,
        token,
        deviceType: shownDeviceType(device.deviceType),
        startedAt: `${new Date(now).toISOString().slice(0, 16).replace('T', ' ')} UTC`,
      },
    }),
    ...deps.audit.record({
      action: 'registration.started',
      actorKind: 'anyone',
      actor: null,
      subjectKind: 'registration',
      subject: id,
      facts: { accountType, policyVersion },
    }),
  ])
  deps.mail.sendSoon()
  deps.audit.sealSoon()
  deps.events.registrationStarted({ registration: id })
  return { id, deviceSecret, userCode, expiresAt }
}
