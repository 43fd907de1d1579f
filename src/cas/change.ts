import type { CaConnectionRequest } from '../api/ca-shapes.ts'
import { commit, type Change } from '../audit/commit.ts'
import type { OwnEvent } from '../audit/entries.ts'
import { DomainError, type ErrorCode } from '../errors.ts'
import { onLatestRows } from '../ports/authority.ts'
import { ConstraintFailed, type GuardBroken } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import { withClientCertificate } from './adapters/client-key.ts'
import type { Credentials } from './adapters/kind.ts'
import { adapterKind } from './adapters/registry.ts'
import { requireFit } from './fitness.ts'
import type { CaDeps } from './deps.ts'
import { changedFields, openCredentials, readSettings, sealCredentials, settingsToKeep } from './kept.ts'
import { replaceLists } from './lists/store.ts'
import {
  insertConnection,
  markActive,
  markPaused,
  markRemoved,
  readConnection,
  updateConnection,
  updateCredentials,
  type ConnectionRow,
  type ConnectionValues,
} from './store.ts'

const entry = (action: string, by: string, id: string, facts: OwnEvent['facts'] = {}): OwnEvent => ({
  action: `ca_connection.${action}`,
  actorKind: 'administrator',
  actor: by,
  subjectKind: 'ca connection',
  subject: id,
  facts,
})

/** The URL to which requests go. It is audited, so nobody can send requests elsewhere for a while and hide it. */
const urlOf = (request: CaConnectionRequest): string | null => ('url' in request ? request.url : null)

/** The CA at the other end: its URL, and its name there. */
const caOf = (request: CaConnectionRequest): string =>
  JSON.stringify([urlOf(request), 'certificateAuthority' in request ? request.certificateAuthority : null])

export const noSuchConnection = (): DomainError => new DomainError('not_found', 'There is no such CA connection.')

const changedMeanwhile = (): DomainError =>
  new DomainError('connection_changed', 'Somebody changed the CA connection meanwhile. Read it again, then change it.')

const notTheOneInside = (code: Extract<ErrorCode, 'connection_in_use' | 'connection_unfit'>): DomainError =>
  new DomainError(code, 'The CA inside belongs to the service: it can be paused, and rules can lead elsewhere.')

/** The connection, unless it was removed. Throws `not_found`. */
export async function requireConnection(
  deps: Pick<CaDeps, 'database' | 'keys' | 'events'>,
  id: string,
): Promise<ConnectionRow> {
  const row = await readConnection(deps, id)
  if (row === null || row.state === 'removed') throw noSuchConnection()
  return row
}

type CommitDeps = Pick<CaDeps, 'database' | 'keys' | 'events' | 'audit'>

/**
 * Commits a change that sets the name of a connection. Throws `connection_name_taken`, and `refusal` of a broken
 * guard.
 */
async function commitNamed(
  deps: CommitDeps,
  change: Change,
  refusal: (guard: GuardBroken) => DomainError,
): Promise<void> {
  try {
    await commit(deps, change, (guard) => {
      throw refusal(guard)
    })
  } catch (error) {
    if (!(error instanceof ConstraintFailed) || error.kind !== 'unique') throw error
    throw new DomainError('connection_name_taken', 'Another CA connection has this name: choose another.')
  }
}

const refuse = (refusal: () => DomainError) => (): never => {
  throw refusal()
}

type ChangeDeps = CommitDeps & Pick<CaDeps, 'crypto' | 'random' | 'clock' | 'outgoing'>

function valuesOf(
  deps: Pick<CaDeps, 'keys'>,
  id: string,
  request: CaConnectionRequest,
  credentials: Credentials,
): ConnectionValues {
  const isEmpty = Object.keys(credentials).length === 0
  return {
    id,
    name: request.name,
    recipient: request.recipient,
    country: request.country,
    settings: settingsToKeep(request),
    credentialsSealed: isEmpty ? null : sealCredentials(deps.keys, id, credentials),
  }
}

/** Refuses settings that the adapter cannot work with, before they are stored. */
function requireAdapter(deps: ChangeDeps, request: CaConnectionRequest, credentials: Credentials): void {
  adapterKind(request.kind).create(deps, request, credentials)
}

/** Makes a connection. Throws `connection_unfit`, `not_on_this_runtime`, `connection_name_taken`. */
export async function makeConnection(deps: ChangeDeps, request: CaConnectionRequest, by: string): Promise<string> {
  await requireFit(deps, request)
  const id = randomId(deps.random)
  const credentials = await adapterKind(request.kind).nextCredentials(deps, request, null)
  requireAdapter(deps, request, credentials)
  const now = deps.clock()
  const facts = { kind: request.kind, recipient: request.recipient, url: urlOf(request) }
  await commitNamed(
    deps,
    {
      commands: [
        insertConnection(
          deps.keys,
          { ...valuesOf(deps, id, request, credentials), kind: request.kind, createdBy: by },
          now,
        ),
        ...replaceLists(id, request.revocationLists, now),
      ],
      audit: entry('created', by, id, facts),
    },
    changedMeanwhile,
  )
  return id
}

const refusalOfChange = ({ code }: GuardBroken): DomainError =>
  code === 'connection_has_orders'
    ? new DomainError(
        'connection_in_use',
        'Its CA may have certificates for requests that another one knows nothing of: pause it, and settle or cancel ' +
          'those first; or make another connection.',
      )
    : changedMeanwhile()

/**
 * Changes the settings of a connection and closes its circuit. `version` is the one that was read. A secret that is
 * left out stays. Throws `not_found`, `connection_changed`, `connection_unfit`, `connection_in_use`,
 * `not_on_this_runtime`, `connection_name_taken`.
 */
export async function changeConnection(
  deps: ChangeDeps & Pick<CaDeps, 'uses' | 'onConnectionUsable'>,
  of: { readonly id: string; readonly version: number },
  request: CaConnectionRequest,
  by: string,
): Promise<void> {
  const { id, version } = of
  const row = await requireConnection(deps, id)
  if (row.kind === 'embedded') throw notTheOneInside('connection_unfit')
  if (row.version !== version) throw changedMeanwhile()
  if (row.kind !== request.kind) {
    throw new DomainError('connection_unfit', 'The kind of a connection stays: make another one, and remove this.')
  }
  await requireFit(deps, request)
  const before = { settings: readSettings(row), credentials: openCredentials(deps.keys, row) }
  const credentials = await adapterKind(request.kind).nextCredentials(deps, request, before)
  requireAdapter(deps, request, credentials)
  const now = deps.clock()
  const movesAway = caOf(before.settings) !== caOf(request)
  const fields = changedFields(before.settings, request)
  await commitNamed(
    deps,
    {
      commands: [
        ...updateConnection(deps.keys, row, valuesOf(deps, id, request, credentials), now),
        // A different CA would know nothing of the orders at this one.
        ...(movesAway ? [deps.uses.requireNothingAtCa(id)] : []),
        ...replaceLists(id, request.revocationLists, now),
      ],
      audit: entry('changed', by, id, { fields, recipient: request.recipient, url: urlOf(request) }),
    },
    refusalOfChange,
  )
  deps.onConnectionUsable(id)
}

/** Stores the certificate for the client key. Throws `not_found`, `connection_unfit`, `connection_changed`. */
export async function putClientCertificate(
  deps: CommitDeps & Pick<CaDeps, 'crypto' | 'clock' | 'onConnectionUsable'>,
  id: string,
  pem: string,
  by: string,
): Promise<void> {
  const row = await requireConnection(deps, id)
  const now = deps.clock()
  const credentials = await withClientCertificate(deps.crypto, openCredentials(deps.keys, row), pem, now)
  const commands = updateCredentials(deps.keys, row, sealCredentials(deps.keys, id, credentials), now)
  await commit(deps, { commands, audit: entry('certified', by, id) }, refuse(changedMeanwhile))
  deps.onConnectionUsable(id)
}

/** Pauses a connection: its requests wait, and nothing is sent. A repeat changes nothing. Throws `not_found`. */
export async function pauseConnection(deps: CommitDeps & Pick<CaDeps, 'clock'>, id: string, by: string): Promise<void> {
  const row = await requireConnection(deps, id)
  if (row.state === 'paused') return
  const commands = markPaused(deps.keys, row, deps.clock())
  await commit(deps, { commands, audit: entry('paused', by, id) }, refuse(changedMeanwhile))
}

/** Resumes a connection, closes its circuit, and sends what waits. Throws `not_found`. */
export async function resumeConnection(
  deps: CommitDeps & Pick<CaDeps, 'clock' | 'onConnectionResumed' | 'onConnectionUsable'>,
  id: string,
  by: string,
): Promise<void> {
  await onLatestRows(async () => {
    const row = await requireConnection(deps, id)
    const commands = [...markActive(deps.keys, row, deps.clock()), ...deps.onConnectionResumed(id)]
    await commit(deps, { commands, audit: entry('resumed', by, id) })
  })
  deps.onConnectionUsable(id)
}

/**
 * Removes a connection with its credentials. It must have no rule, open request, valid certificate or unconfirmed
 * revocation. Throws `not_found`, `connection_in_use`.
 */
export async function removeConnection(
  deps: CommitDeps & Pick<CaDeps, 'clock' | 'uses'>,
  id: string,
  by: string,
): Promise<void> {
  await onLatestRows(async () => {
    const row = await requireConnection(deps, id)
    if (row.kind === 'embedded') throw notTheOneInside('connection_in_use')
    const commands = [...markRemoved(deps.keys, row, deps.clock()), ...deps.uses.requireUnused(id)]
    await commit(deps, { commands, audit: entry('removed', by, id) }, async (guard) => {
      throw await refusalOfRemoval(deps, id, guard)
    })
  })
}

async function refusalOfRemoval(
  { uses }: Pick<CaDeps, 'uses'>,
  id: string,
  { code }: GuardBroken,
): Promise<DomainError> {
  switch (code) {
    case 'connection_has_rules':
      return new DomainError('connection_in_use', 'Routing rules lead to it: change or remove those first.')
    case 'connection_owes_revocations':
      return new DomainError('connection_in_use', 'Its CA has not confirmed all revocations: see to those first.')
    case 'connection_has_certificates':
      return new DomainError(
        'connection_in_use',
        `Valid certificates that came through it: ${await uses.countValidCertificates(id)}. Without it their CA could ` +
          'not be told of a revocation, nor its lists be read: they must have run out, been renewed through another ' +
          'connection or been revoked.',
      )
    default:
      return new DomainError('connection_in_use', 'Requests are on their way through it: settle or cancel those first.')
  }
}

/** Audits a check of a CA, with its failure. Null: none. */
export async function noteTest(deps: CommitDeps, id: string, failure: string | null, by: string): Promise<void> {
  await commit(deps, { commands: [], audit: entry('tested', by, id, { failure }) })
}
