import { z } from 'zod'
import { secretFields } from '../api/ca-kinds/all.ts'
import { caConnectionRequest, type CaConnectionRequest } from '../api/ca-shapes.ts'
import { openText, sealText, type Keys } from '../ports/keys.ts'
import { anyCredentials, type Credentials } from './adapters/kind.ts'
import type { ConnectionRow } from './store.ts'

const credentialsPlace = (id: string) => ({ table: 'ca_connections', column: 'credentials_sealed', row: id })

export const sealCredentials = (keys: Keys, id: string, credentials: Credentials): Uint8Array =>
  sealText(keys.main, credentialsPlace(id), JSON.stringify(credentials))

export const openCredentials = (keys: Keys, row: Pick<ConnectionRow, 'id' | 'credentialsSealed'>): Credentials =>
  row.credentialsSealed === null
    ? {}
    : anyCredentials.parse(JSON.parse(openText(keys.main, credentialsPlace(row.id), row.credentialsSealed)))

const ownColumns: ReadonlySet<string> = new Set(['name', 'recipient', 'country'])

/** The settings as they are stored, without secrets and without what has a column of its own. */
export const settingsToKeep = (request: CaConnectionRequest): string =>
  JSON.stringify(
    Object.fromEntries(Object.entries(request).filter(([field]) => !ownColumns.has(field) && !secretFields.has(field))),
  )

const keptShape = z.record(z.string(), z.unknown())

/** What an operator would send to make the same connection again, without the secrets. */
export const shownSettings = ({
  name,
  recipient,
  country,
  settings,
}: Pick<ConnectionRow, 'name' | 'recipient' | 'country' | 'settings'>): Record<string, unknown> => ({
  name,
  recipient,
  country,
  ...keptShape.parse(JSON.parse(settings)),
})

/** The settings of a connection to a CA elsewhere, without the secrets. */
export const readSettings = (row: ConnectionRow): CaConnectionRequest => caConnectionRequest.parse(shownSettings(row))

/** The names of the changed fields, for the audit log. A secret counts as changed if one was sent. */
export function changedFields(before: CaConnectionRequest, after: CaConnectionRequest): string {
  const old: Readonly<Record<string, unknown>> = { ...before }
  return Object.entries(after)
    .filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(old[field]))
    .map(([field]) => field)
    .join(' ')
}

/** Whether a connection has its credentials. `missing`: the CA's owner has not certified the key yet. */
export function credentialsStanding(
  row: Pick<ConnectionRow, 'credentialsSealed'>,
  { clientKey, clientCertificate }: Credentials,
): 'none' | 'kept' | 'missing' {
  if (row.credentialsSealed === null) return 'none'
  return clientKey !== undefined && clientCertificate === undefined ? 'missing' : 'kept'
}
