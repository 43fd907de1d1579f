import type { CaConnectionRequest } from '../api/ca-shapes.ts'
import type { AuditEvent } from '../audit/entries.ts'
import { DomainError, type ErrorCode } from '../errors.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../ports/database.ts'
import { randomId } from '../ports/runtime.ts'
import { createAdapter } from './adapters.ts'
import { nextCredentials } from './credentials.ts'
import { requireFit } from './fitness.ts'
import { withClientCertificate } from './keys-for-ca.ts'
import type { ConnectionDeps } from './registry.ts'
import {
  changedFields,
  openCredentials,
  readSettings,
  sealCredentials,
  settingsToKeep,
  type Credentials,
} from './settings.ts'
import {
  hurryWaiting,
  insertConnection,
  markActive,
  markPaused,
  markRemoved,
  readConnection,
  readUses,
  replaceLists,
  updateConnection,
  updateCredentials,
  type ConnectionRow,
  type ConnectionValues,
} from './store.ts'

const entry = (action: string, by: string, id: string, facts: AuditEvent['facts'] = {}): AuditEvent => ({
  action: `ca_connection.${action}`,
  actorKind: 'administrator',
  actor: by,
  subjectKind: 'ca connection',
  subject: id,
  facts,
})

/** To where requests go: somebody who sent them elsewhere for a while must not be able to hide it. */
const urlOf = (request: CaConnectionRequest): string | null => ('url' in request ? request.url : null)

/** The CA that requests go to, by where it is and what it is called there. */
const caOf = (request: CaConnectionRequest): string =>
  JSON.stringify([urlOf(request), 'certificateAuthority' in request ? request.certificateAuthority : null])

export const noSuchConnection = (): DomainError => new DomainError('not_found', 'There is no such CA connection.')

const requestsAreThere = (): DomainError =>
  new DomainError(
    'connection_in_use',
    'Its CA may have certificates for requests that another one knows nothing of: pause it, and settle or cancel those ' +
      'first; or make another connection.',
  )

const changedMeanwhile = (): DomainError =>
  new DomainError('connection_changed', 'Somebody changed the CA connection meanwhile. Read it again, then change it.')

const notTheOneInside = (code: Extract<ErrorCode, 'connection_in_use' | 'connection_unfit'>): DomainError =>
  new DomainError(code, 'The CA inside belongs to the service: it can be paused, and rules can lead elsewhere.')

/** A connection that is there. Throws `not_found`. */
export async function requireConnection({ database }: ConnectionDeps, id: string): Promise<ConnectionRow> {
  const row = await readConnection(database, id)
  if (row === null || row.state === 'removed') throw noSuchConnection()
  return row
}

/** Runs a batch; what of it the schema or a guard refuses is said in words. */
async function write(deps: ConnectionDeps, commands: readonly Command[], explain: () => Promise<DomainError>) {
  try {
    await deps.database.batch(commands)
  } catch (error) {
    if (error instanceof GuardBroken) throw await explain()
    if (error instanceof ConstraintFailed && error.kind === 'unique') {
      throw new DomainError('connection_name_taken', 'Another CA connection has this name: choose another.')
    }
    throw error
  }
  deps.audit.sealSoon()
}

function valuesOf(
  deps: ConnectionDeps,
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

/** What an adapter cannot work with is refused before it is kept, rather than when a request comes. */
function requireAdapter(deps: ConnectionDeps, request: CaConnectionRequest, credentials: Credentials): void {
  createAdapter(deps, request, credentials)
}

/** Makes a connection. Throws `connection_unfit`, `not_on_this_runtime`, `connection_name_taken`. */
export async function makeConnection(deps: ConnectionDeps, request: CaConnectionRequest, by: string): Promise<string> {
  await requireFit(deps, request)
  const id = randomId(deps.random)
  const credentials = await nextCredentials(deps, request, null)
  requireAdapter(deps, request, credentials)
  const now = deps.clock()
  await write(
    deps,
    [
      insertConnection({ ...valuesOf(deps, id, request, credentials), kind: request.kind, createdBy: by }, now),
      ...replaceLists(id, request.revocationLists, now),
      ...deps.audit.record(
        entry('created', by, id, { kind: request.kind, recipient: request.recipient, url: urlOf(request) }),
      ),
    ],
    async () => changedMeanwhile(),
  )
  return id
}

/**
 * Gives a connection that is still in this version other settings, and closes its circuit. A secret that is left out
 * stays. Throws `not_found`, `connection_changed`, `connection_unfit`, `connection_in_use`,
 * `not_on_this_runtime`, `connection_name_taken`.
 */
export async function changeConnection(
  deps: ConnectionDeps,
  id: string,
  version: number,
  request: CaConnectionRequest,
  by: string,
): Promise<void> {
  const row = await requireConnection(deps, id)
  if (row.kind === 'embedded') throw notTheOneInside('connection_unfit')
  if (row.version !== version) throw changedMeanwhile()
  if (row.kind !== request.kind) {
    throw new DomainError('connection_unfit', 'The kind of a connection stays: make another one, and remove this.')
  }
  await requireFit(deps, request)
  const before = { settings: readSettings(row), credentials: openCredentials(deps.keys, row) }
  const credentials = await nextCredentials(deps, request, before)
  const movesAway = caOf(before.settings) !== caOf(request)
  requireAdapter(deps, request, credentials)
  const now = deps.clock()
  await write(
    deps,
    [
      ...updateConnection({ ...valuesOf(deps, id, request, credentials), movesAway }, version, now),
      ...replaceLists(id, request.revocationLists, now),
      ...deps.audit.record(
        entry('changed', by, id, {
          fields: changedFields(before.settings, request),
          recipient: request.recipient,
          url: urlOf(request),
        }),
      ),
    ],
    async () => {
      const { version: present } = await requireConnection(deps, id)
      return present === version ? requestsAreThere() : changedMeanwhile()
    },
  )
  deps.onConnectionUsable(id)
}

/** Puts in the certificate for the key that the connection shows. Throws `not_found`, `connection_unfit`, `connection_changed`. */
export async function putClientCertificate(deps: ConnectionDeps, id: string, pem: string, by: string): Promise<void> {
  const row = await requireConnection(deps, id)
  const now = deps.clock()
  const credentials = await withClientCertificate(deps.crypto, openCredentials(deps.keys, row), pem, now)
  await write(
    deps,
    [
      ...updateCredentials(row, sealCredentials(deps.keys, id, credentials), now),
      ...deps.audit.record(entry('certified', by, id)),
    ],
    async () => changedMeanwhile(),
  )
  deps.onConnectionUsable(id)
}

/** Nothing is sent to a paused connection; what is routed to it waits. A repeat changes nothing. Throws `not_found`. */
export async function pauseConnection(deps: ConnectionDeps, id: string, by: string): Promise<void> {
  const row = await requireConnection(deps, id)
  if (row.state === 'paused') return
  await write(deps, [...markPaused(id, deps.clock()), ...deps.audit.record(entry('paused', by, id))], async () =>
    changedMeanwhile(),
  )
}

/** Puts a connection to use again, closes its circuit, and has what waits be sent now. Throws `not_found`. */
export async function resumeConnection(deps: ConnectionDeps, id: string, by: string): Promise<void> {
  await requireConnection(deps, id)
  const now = deps.clock()
  await write(
    deps,
    [...markActive(id, now), hurryWaiting(id, now), ...deps.audit.record(entry('resumed', by, id))],
    async () => noSuchConnection(),
  )
  deps.onConnectionUsable(id)
}

/** Removes a connection on which nothing rests, a valid certificate neither, with its credentials. Throws `not_found`, `connection_in_use`. */
export async function removeConnection(deps: ConnectionDeps, id: string, by: string): Promise<void> {
  const row = await requireConnection(deps, id)
  if (row.kind === 'embedded') throw notTheOneInside('connection_in_use')
  await write(deps, [...markRemoved(id, deps.clock()), ...deps.audit.record(entry('removed', by, id))], async () =>
    whyNotRemoved(deps, id),
  )
}

async function whyNotRemoved(deps: ConnectionDeps, id: string): Promise<DomainError> {
  await requireConnection(deps, id)
  const uses = await readUses(deps.database, id, deps.clock())
  if (uses !== null && uses.rules > 0) {
    return new DomainError('connection_in_use', 'Routing rules lead to it: change or remove those first.')
  }
  if (uses !== null && uses.revocations > 0) {
    return new DomainError('connection_in_use', 'Its CA has not confirmed all revocations: see to those first.')
  }
  if (uses !== null && uses.certificates > 0) {
    return new DomainError(
      'connection_in_use',
      `Valid certificates that came through it: ${uses.certificates}. Without it their CA could not be told of a ` +
        'revocation, nor its lists be read: they must have run out, been renewed through another connection or been revoked.',
    )
  }
  return new DomainError('connection_in_use', 'Requests are on their way through it: settle or cancel those first.')
}

/** Writes down that somebody looked at a CA, and what for a failure came of it. */
export async function noteTest(deps: ConnectionDeps, id: string, failure: string | null, by: string): Promise<void> {
  await deps.database.batch(deps.audit.record(entry('tested', by, id, { failure })))
  deps.audit.sealSoon()
}
