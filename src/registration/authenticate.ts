import { findBySecret, hashSecret, verifiersOf, type FoundBySecret, type Verifiers } from '../api/credentials.ts'
import { bearerToken, type DeviceCaller } from '../api/room.ts'
import { commit, type Change } from '../audit/commit.ts'
import type { AuditRoom } from '../audit/room.ts'
import { DomainError } from '../errors.ts'
import { accountKey } from '../mailbox/account.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { onLatestRows, type AuthorityDeps } from '../ports/authority.ts'
import type { Macs } from '../ports/row-mac.ts'
import type { Database } from '../ports/database.ts'
import { openText, type KeyedHashes, type Keys, type Sha256 } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { isExpired, seenDayOf } from './device/seen.ts'
import {
  mailboxOfCaller,
  markCredentialUsed,
  markSeen,
  promoteNextCredential,
  readCaller,
  type CallerRow,
} from './device/store.ts'
import { RememberedCallers, type Remembered } from './remembered-callers.ts'
import { paidWith } from '../ports/row-budgets.ts'

const unknownCredential = (): DomainError =>
  new DomainError('credential_invalid', 'The credential is unknown or has ended. Register the device again.')

interface AuthenticateDeps extends AuthorityDeps {
  readonly database: Database
  readonly clock: Clock
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly keys: Macs & Pick<KeyedHashes, 'verifiers'>
  readonly sha256: Sha256
}

/** A device that was recognised. The same object as long as nothing about its subscriber changes; another one then. */
export interface Caller extends DeviceCaller {
  /** Since when its subscriber is one, UTC milliseconds. */
  readonly subscriberSince: number
  /** The subscriber's oldest active mailbox; null where there is none. */
  readonly mailbox: SealedMailbox | null
}

interface SealedMailbox {
  readonly id: string
  readonly addressSealed: Uint8Array
  readonly addressIndex: Uint8Array
}

/** By which mailbox somebody is a member. */
export interface Membership {
  /**
   * The domain as lower-case A-labels, and the blind index of the account, by which budgets count; null where there is no
   * active mailbox.
   */
  readonly mailbox: { readonly domain: string; readonly accountIndex: Uint8Array } | null
}

/** Opens the mailbox by which a caller is a member. */
export function membershipOf(deps: { readonly keys: Keys }, { mailbox }: Caller): Membership {
  if (mailbox === null) return { mailbox: null }
  const place = { table: 'mailboxes', column: 'address_sealed', row: mailbox.id }
  const address = parseMailboxAddress(openText(deps.keys.main, place, mailbox.addressSealed))
  const account = accountKey(address)
  const accountIndex = account === address.matchingKey ? mailbox.addressIndex : deps.keys.blindIndex(account)
  return { mailbox: { domain: address.domain, accountIndex } }
}

const callerOf = (deps: AuthorityDeps, row: CallerRow): Caller => ({
  deviceId: row.id,
  subscriberId: row.subscriber,
  subscriberSince: row.subscriberSince,
  mailbox: mailboxOfCaller(deps, row),
})

/**
 * The change that the use of a credential makes. Its first use is noted, as a used credential is not replaced; the first
 * use of one from a rotation ends the one before. What an older key verified gets the verifier of the newest. Null where
 * nothing changes. The rotation has paid for its entry.
 */
function changeOfUse(deps: AuthenticateDeps, found: FoundBySecret<CallerRow>): Change | null {
  const {
    row,
    verifier,
    verifiers: [newest],
  } = found
  if (!equalSecrets(row.credentialVerifier, verifier)) {
    return {
      commands: promoteNextCredential(deps.keys, row, newest, deps.clock()),
      audit: {
        action: 'credential.rotated',
        actorKind: 'device',
        actor: row.id,
        subjectKind: 'device',
        subject: row.id,
      },
      payment: paidWith('act'),
    }
  }
  if (row.credentialUsedAt !== null && verifier === newest) return null
  return { commands: markCredentialUsed(deps.keys, row, newest, deps.clock()) }
}

/** Finds the caller and notes the use of the credential. Throws `credential_invalid`. */
const recognise = (
  deps: AuthenticateDeps,
  verifiers: Verifiers,
): Promise<{ readonly row: CallerRow; readonly hasChanged: boolean }> =>
  onLatestRows(async () => {
    const found = await findBySecret(verifiers, (verifier) => readCaller(deps, verifier))
    if (found === null || isExpired(found.row.id, found.row.seenAt, deps.clock())) throw unknownCredential()
    const change = changeOfUse(deps, found)
    if (change !== null) await commit(deps, change)
    return { row: found.row, hasChanged: change !== null }
  })

function requireDeviceCredential(token: string): void {
  if (token.startsWith('cb_dev_')) return
  if (/^cb_[a-z]+_/.test(token)) {
    throw new DomainError('credential_of_another_kind', 'This call takes the credential of a device (cb_dev_…).')
  }
  throw new DomainError('credential_invalid', 'The credential is not one of this service.')
}

/** A caller with the day on which it was last noted as seen. */
interface Known extends Remembered {
  readonly caller: Caller
  readonly readAt: number
  seenAt: number
}

/** After so long the row of a caller is read again, and its MAC checked: others may have kept the changes of rows from us. */
const rememberedMilliseconds = 10 * 60_000

/** How long a caller counts as recognised for one request: enough for a body that has come, too little for a slow one. */
const recognisedMilliseconds = 1_000

const isGood = ({ caller, readAt, seenAt }: Known, now: number): boolean =>
  now < readAt + rememberedMilliseconds && !isExpired(caller.deviceId, seenAt, now)

/**
 * Recognises device credentials, and notes the day on which each was seen. Known ones cost no read. With `request`: it is
 * not asked again within a second for the same one. Rejects with `credential_required`, `credential_invalid`,
 * `credential_of_another_kind`.
 */
export function createAuthenticate(
  deps: AuthenticateDeps,
): (authorization: string | undefined, request?: object) => Promise<Caller> {
  const recognised = new WeakMap<object, { readonly caller: Caller; readonly until: number }>()
  const remembered = new RememberedCallers<Known>(deps.database)

  const noteSeen = async (known: Known): Promise<void> => {
    const day = seenDayOf(known.caller.deviceId, deps.clock())
    if (known.seenAt >= day) return
    await deps.database.batch([markSeen(deps.keys, known.caller.deviceId, day)])
    known.seenAt = day
  }

  const read = async (credential: string, token: string): Promise<Known> => {
    const { position } = remembered
    const { row, hasChanged } = await recognise(deps, verifiersOf(deps.keys, 'devices.credential', token))
    const caller = callerOf(deps, row)
    const known = { credential, subscriber: row.subscriber, caller, readAt: deps.clock(), seenAt: row.seenAt }
    if (!hasChanged) remembered.set(position, known)
    return known
  }

  const authenticate = async (authorization: string | undefined): Promise<Caller> => {
    const token = bearerToken(authorization)
    requireDeviceCredential(token)
    const credential = String.fromCharCode(...hashSecret(deps.sha256, token))
    if (!remembered.isCurrent()) await remembered.catchUp()
    const before = remembered.get(credential)
    const known = before !== undefined && isGood(before, deps.clock()) ? before : await read(credential, token)
    await noteSeen(known)
    return known.caller
  }

  return async (authorization, request) => {
    if (request === undefined) return authenticate(authorization)
    const before = recognised.get(request)
    if (before !== undefined && deps.clock() < before.until) return before.caller
    const caller = await authenticate(authorization)
    recognised.set(request, { caller, until: deps.clock() + recognisedMilliseconds })
    return caller
  }
}
