import { verifiersOf } from '../api/credentials.ts'
import { requireAllowedFacts } from '../api/device-facts.ts'
import type { ClientConnection } from '../api/room.ts'
import type { RegistrationRequest } from '../api/shapes.ts'
import { commit } from '../audit/commit.ts'
import type { AuditEvent } from '../audit/entries.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { Command, Outcome } from '../ports/database.ts'
import { openText, sealText } from '../ports/keys.ts'
import { randomId, randomSecret, randomUserCode } from '../ports/runtime.ts'
import type { MailParameters } from '../mail/content.ts'
import type { QueuedChallenge } from '../mail/room.ts'
import { mailLanguageFor } from '../mail/templates.ts'
import { toHex } from '../pki/encoding.ts'
import type { RegistrationDeps } from './deps.ts'
import { factsOfRegistration } from './device-facts.ts'
import { payAsNetwork } from './network-budget.ts'
import { forgetTokens, insertRegistration, readWaitingForMail, type WaitingForMail } from './store.ts'
import { dayMilliseconds } from '../ports/time.ts'

/** SBR 4.2.1: a mailbox challenge is valid for at most 24 hours. */
export const challengeMilliseconds = dayMilliseconds

/** Whether the batch queued no mail because its recipient had too many. `commands` are the last ones of the batch. */
export const isWithheld = (
  mail: QueuedChallenge,
  commands: readonly Command[],
  outcomes: readonly Outcome[],
): boolean => mail.commands.every((command) => outcomes.at(commands.indexOf(command) - commands.length)?.changes === 0)

export interface StartedRegistration {
  readonly id: string
  readonly deviceSecret: string
  readonly userCode: string
  readonly expiresAt: number
}

/** How many other registrations a mail speaks for. More would make it long, and of more the holder knows none. */
const othersPerMail = 4

/** Of so many, the oldest, are the others chosen. */
const waitingRead = 64

/** Registrations of the address whose tokens no mail has yet: the oldest of each network, the oldest first. */
async function othersWithoutMail(deps: RegistrationDeps, addressIndex: Uint8Array): Promise<WaitingForMail[]> {
  const waiting = await readWaitingForMail(deps, addressIndex, deps.clock(), waitingRead)
  const networks = new Set<string>()
  return waiting
    .filter((row) => {
      const network = toHex(row.networkIndex)
      const isFirst = !networks.has(network)
      networks.add(network)
      return isFirst
    })
    .slice(0, othersPerMail)
}

const alsoOf = (deps: RegistrationDeps, row: WaitingForMail): MailParameters['challenge']['also'][number] => ({
  registration: row.id,
  token: openText(deps.keys.main, { table: 'registrations', column: 'token_sealed', row: row.id }, row.tokenSealed),
  deviceType: factsOfRegistration(deps.keys, row).deviceType,
  startedAt: row.createdAt,
})

/**
 * Begins a registration: keeps what the device said, and mails a token to this address only. The mail also has the tokens
 * of registrations whose own mail was withheld. The answer does not show whether the service knows the address, or
 * whether the mail was withheld because too many went there. The budget of the caller's network limits how many rows can
 * pile up. Throws the refusals of addresses,
 * `policy_version_not_in_force`, `serial_number_not_android`, `too_many_requests`.
 */
export async function startRegistration(
  deps: RegistrationDeps,
  client: ClientConnection,
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
  const networkIndex = deps.keys.blindIndex(`registration-network/${client.network}/${mailbox.matchingKey}`)
  const others = await othersWithoutMail(deps, addressIndex)
  const mail = deps.mail.queueChallenge({
    group: 'challenge',
    asker: `network/${client.network}`,
    recipient: mailbox.address,
    language: mailLanguageFor(device.language, deps.mailLanguage),
    parameters: {
      registration: id,
      token,
      purpose: 'registration',
      act: null,
      deviceType: device.deviceType,
      startedAt: now,
      also: others.map((other) => alsoOf(deps, other)),
    },
  })
  const begun: Command[] = [
    insertRegistration(deps.keys, {
      id,
      addressSealed: seal('address_sealed', mailbox.address),
      addressIndex,
      accountType,
      policyVersion,
      deviceSealed: seal('device_sealed', JSON.stringify(device)),
      deviceSecretVerifier: verifiersOf(deps.keys, 'registrations.device_secret', deviceSecret)[0],
      tokenVerifier: verifiersOf(deps.keys, 'registrations.token', token)[0],
      tokenSealed: seal('token_sealed', token),
      networkIndex,
      userCodeSealed: seal('user_code_sealed', userCode),
      createdAt: now,
      expiresAt,
    }),
    ...mail.commands,
    forgetTokens([id, ...others.map((other) => other.id)], mail.id),
  ]
  const audit: AuditEvent = {
    action: 'registration.started',
    actorKind: 'anyone',
    actor: null,
    subjectKind: 'registration',
    subject: id,
    facts: { accountType, policyVersion },
  }
  const payment = payAsNetwork(deps, client, 'registration')
  const outcomes = await commit(deps, { commands: begun, audit, payment })
  deps.mail.sendSoon()
  deps.events.registrationStarted({ registration: id })
  if (isWithheld(mail, begun, outcomes)) deps.events.mailWithheld({ registration: id })
  return { id, deviceSecret, userCode, expiresAt }
}
