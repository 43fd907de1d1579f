import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { KeyRing } from '../../src/adapters/key-ring.ts'
import { blob, integer, query, text, type Database } from '../../src/ports/database.ts'
import { openText } from '../../src/ports/keys.ts'
import type { Service } from '../../src/service.ts'

/** A lookup that was answered to somebody: each distinct address must stand in the log. */
export interface AnsweredLookup {
  readonly asker: string
  readonly addresses: readonly string[]
}

export interface LoggedLookup {
  readonly asker: string
  readonly address: string
}

const logColumns = { id: integer, asker: text, addressSealed: blob }

/** Every row of the log, opened. */
export async function readLog(shards: readonly Database[], keys: KeyRing): Promise<LoggedLookup[]> {
  const logged: LoggedLookup[] = []
  for (const shard of shards) {
    const rows = await shard.all(
      query(
        logColumns,
        `SELECT id, asker, address_sealed AS addressSealed FROM query_log
         UNION ALL SELECT id, asker, address_sealed AS addressSealed FROM query_log_recent`,
      ),
    )
    for (const row of rows) {
      const place = { table: 'query_log', column: 'address_sealed', row: row.id }
      logged.push({ asker: row.asker, address: openText(keys.journal, place, row.addressSealed) })
    }
  }
  return logged
}

/** The ways in which an address could lie in a file: clear, base64 at each alignment, hex, and as A-labels. */
export function formsOf(address: string): { form: string; bytes: Buffer }[] {
  const [local = '', domain = ''] = address.split('@')
  const labelled = `${local}@${new URL(`http://${domain}`).hostname}`
  return [...new Set([address, labelled, address.toLowerCase()])].flatMap((spelling) => {
    const clear = Buffer.from(spelling, 'utf8')
    const base64 = [0, 1, 2].map((offset) => {
      const encoded = Buffer.concat([Buffer.alloc(offset), clear]).toString('base64')
      // The first and last characters depend on the neighbours; what is between does not.
      const start = Math.ceil((offset * 8) / 6)
      const end = Math.floor(((offset + clear.length) * 8) / 6)
      return { form: `base64+${offset}`, bytes: Buffer.from(encoded.slice(start, end)) }
    })
    const hex = clear.toString('hex')
    return [
      { form: 'utf-8', bytes: clear },
      { form: 'utf-16', bytes: Buffer.from(spelling, 'utf16le') },
      { form: 'hex', bytes: Buffer.from(hex) },
      { form: 'HEX', bytes: Buffer.from(hex.toUpperCase()) },
      ...base64,
      ...base64.map(({ form, bytes }) => ({
        form: `url-safe ${form}`,
        bytes: Buffer.from(bytes.toString().replaceAll('+', '-').replaceAll('/', '_')),
      })),
    ]
  })
}

/** Where a folder's files, `outbox` apart, hold one of the addresses in some form. */
export async function findAddresses(folder: string, addresses: readonly string[]): Promise<string[]> {
  const found: string[] = []
  const forms = addresses.flatMap((address) => formsOf(address).map((form) => ({ address, ...form })))
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || path.includes(`${sep}outbox${sep}`)) continue
    const content = await readFile(path)
    for (const { address, form, bytes } of forms) {
      if (content.includes(bytes)) found.push(`${path.slice(folder.length + 1)} holds ${address} (${form})`)
    }
  }
  return found
}

/**
 * Asserts the invariants of a whole service: its own checks (columns declared, audit chain whole, nothing published
 * that must not be), every answered lookup in the log, and no clear address in its files.
 */
export async function checkService(parts: {
  service: Service
  shards: readonly Database[]
  keys: KeyRing
  answered: readonly AnsweredLookup[]
  addresses: readonly string[]
  dataDir?: string
}): Promise<void> {
  assert.deepEqual(await parts.service.check(), [])
  const logged = new Map<string, number>()
  for (const { asker, address } of await readLog(parts.shards, parts.keys)) {
    const key = `${asker} ${address}`
    logged.set(key, (logged.get(key) ?? 0) + 1)
  }
  const missing: string[] = []
  for (const { asker, addresses } of parts.answered) {
    for (const address of addresses) {
      const key = `${asker} ${address}`
      const rows = logged.get(key) ?? 0
      if (rows === 0) missing.push(key)
      logged.set(key, rows - 1)
    }
  }
  assert.deepEqual(missing, [], 'answered lookups that are not in the log')
  if (parts.dataDir !== undefined) assert.deepEqual(await findAddresses(parts.dataDir, parts.addresses), [])
}
