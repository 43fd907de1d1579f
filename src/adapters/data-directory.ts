import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import SqliteDatabase from 'better-sqlite3'
import { z } from 'zod'
import type { Clock } from '../ports/runtime.ts'
import { moveDurably, writeDurably } from './durable-files.ts'
import { takeFileLock } from './file-lock.ts'
import { KeyRingUnusable, openKeyRing, type KeyRing, type RingEntry, type RingStorage } from './key-ring.ts'

/** The files of one Node installation, all under `DATA_DIR`. */
export interface DataDirectory {
  readonly path: string
  readonly mainFile: string
  readonly journalFile: string
  readonly keyRingFile: string
  readonly dataKeyFile: string
  readonly noteKeyFile: string
  /** The data key that is about to replace it. The ring may be wrapped with either. */
  readonly nextDataKeyFile: string
  readonly outbox: string
}

/** Another process serves from this folder. */
export class DataDirectoryLocked extends Error {
  constructor(path: string) {
    super(`another certbook is serving from ${path}; stop it first, or set DATA_DIR to another folder`)
    this.name = 'DataDirectoryLocked'
  }
}

/** Other users of the machine can enter the folder. */
export class DataDirectoryOpen extends Error {
  constructor(path: string) {
    super(
      `other users of this machine can look into ${path}; run "chmod 700 ${path}", or set DATA_DIR to another folder`,
    )
    this.name = 'DataDirectoryOpen'
  }
}

/** The paths of a folder that need not exist. */
export const dataDirectoryAt = (path: string): DataDirectory => ({
  path,
  mainFile: join(path, 'main.db'),
  journalFile: join(path, 'journal.db'),
  keyRingFile: join(path, 'key-ring'),
  dataKeyFile: join(path, 'data-key'),
  noteKeyFile: join(path, 'audit-note-key'),
  nextDataKeyFile: join(path, 'data-key-next'),
  outbox: join(path, 'outbox'),
})

/** Makes the folder if it is missing, for its owner only. Throws `DataDirectoryOpen`. */
export function openDataDirectory(path: string): DataDirectory {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  // Windows has no such bits, and shows them all as set.
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) throw new DataDirectoryOpen(path)
  return dataDirectoryAt(path)
}

/** Locks the folder for this process until `release`, or until the process ends. Throws `DataDirectoryLocked`. */
export function lockDataDirectory(directory: DataDirectory): { release(): void } {
  const lock = takeFileLock(join(directory.path, 'lock'))
  if (lock === null) throw new DataDirectoryLocked(directory.path)
  return lock
}

/** Whether the folder has ever held data. A new key could not read that data. */
export const holdsDatabase = (directory: DataDirectory): boolean =>
  existsSync(directory.mainFile) || existsSync(directory.journalFile)

/** The settings `DATA_KEY` and `DATA_KEY_FILE`. At most one of them is set. */
export interface ConfiguredKey {
  readonly dataKey: Uint8Array | null
  readonly dataKeyFile: string | null
}

/** A data key: 32 bytes in base64, with or without the end of a line. Null for anything else. */
export const dataKeyIn = (content: string): Uint8Array | null => {
  const key = new Uint8Array(Buffer.from(content.trim(), 'base64'))
  return key.length === 32 ? key : null
}

/** Reads a data key. Throws `KeyRingUnusable`. */
export function readDataKeyFile(path: string): Uint8Array {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new KeyRingUnusable(`the data key cannot be read from ${path}: put the key there, or name its file`, {
      cause,
    })
  }
  const key = dataKeyIn(content)
  if (key !== null) return key
  throw new KeyRingUnusable(`${path} holds no data key: it must be 32 bytes in base64 (openssl rand -base64 32)`)
}

/** The configured data key, or the one in the folder, or null. Throws `KeyRingUnusable`. */
export function findDataKey(directory: DataDirectory, configured: ConfiguredKey): Uint8Array | null {
  if (configured.dataKey !== null) return configured.dataKey
  if (configured.dataKeyFile !== null) return readDataKeyFile(configured.dataKeyFile)
  return existsSync(directory.dataKeyFile) ? readDataKeyFile(directory.dataKeyFile) : null
}

/**
 * The configured data key, or the one in the folder. If there is no database yet, makes a new one in the folder.
 * Throws `KeyRingUnusable`.
 */
export function readDataKey(directory: DataDirectory, configured: ConfiguredKey): Uint8Array {
  const present = findDataKey(directory, configured)
  if (present !== null) return present
  if (holdsDatabase(directory)) {
    throw new KeyRingUnusable(
      `DATA_KEY is not set and ${directory.dataKeyFile} is gone although a database exists: put the key back; ` +
        'without it the data cannot be read',
    )
  }
  const key = new Uint8Array(randomBytes(32))
  writeDurably(directory.dataKeyFile, dataKeyFileOf(key))
  return key
}

/** The note key in the folder, or null. */
export const findNoteKey = (directory: DataDirectory): string | null =>
  existsSync(directory.noteKeyFile) ? readFileSync(directory.noteKeyFile, 'utf8').trim() : null

export const keepNoteKey = (directory: DataDirectory, key: string): void =>
  writeDurably(directory.noteKeyFile, `${key}\n`)

const dataKeyFileOf = (key: Uint8Array): string => `${Buffer.from(key).toString('base64')}\n`

const ringFileShape = z.strictObject({
  version: z.literal(1),
  entries: z.array(z.strictObject({ id: z.string(), wrapped: z.base64(), createdAt: z.int() })),
})

/** Undefined if it is not JSON. */
const jsonOf = (content: string): unknown => {
  try {
    return JSON.parse(content)
  } catch {
    return undefined
  }
}

/** The entries of a key ring file. Empty if there is no file. Throws `KeyRingUnusable`. */
export function readRingFile(path: string): RingEntry[] {
  if (!existsSync(path)) return []
  const parsed = ringFileShape.safeParse(jsonOf(readFileSync(path, 'utf8')))
  if (!parsed.success) throw new KeyRingUnusable(`${path} is not a key ring`)
  return parsed.data.entries.map((entry) => ({
    ...entry,
    wrapped: new Uint8Array(Buffer.from(entry.wrapped, 'base64')),
  }))
}

const ringFileOf = (entries: readonly RingEntry[]): string => {
  const written = entries.map((entry) => ({ ...entry, wrapped: Buffer.from(entry.wrapped).toString('base64') }))
  return `${JSON.stringify({ version: 1, entries: written })}\n`
}

const isSameEntry = (a: RingEntry, b: RingEntry | undefined): boolean =>
  a.id === b?.id && Buffer.from(a.wrapped).equals(b.wrapped)

/**
 * Runs `change` while no other process changes the ring. Otherwise two processes could both read the file, and the
 * second to write would lose the entry of the first. The kernel holds the lock, so it ends with the process.
 */
const whileRingIsLocked = <T>(directory: DataDirectory, change: () => T): T => {
  const lock = new SqliteDatabase(`${directory.keyRingFile}-lock`, { timeout: 5_000 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
    return change()
  } finally {
    lock.close()
  }
}

/** The key ring as one file. */
export class KeyRingFile implements RingStorage {
  readonly #directory: DataDirectory

  constructor(directory: DataDirectory) {
    this.#directory = directory
  }

  async load(): Promise<RingEntry[]> {
    return this.loadNow()
  }

  loadNow(): RingEntry[] {
    return readRingFile(this.#directory.keyRingFile)
  }

  async add(entry: RingEntry, beside: RingEntry | null): Promise<void> {
    whileRingIsLocked(this.#directory, () => {
      const entries = this.loadNow()
      const isThere = entries.some(({ id }) => id === entry.id)
      const isWrappedAnew = beside !== null && !entries.some((present) => isSameEntry(present, beside))
      if (!isThere && !isWrappedAnew) this.#write([...entries, entry])
    })
  }

  async replace(from: readonly RingEntry[], to: readonly RingEntry[]): Promise<boolean> {
    return whileRingIsLocked(this.#directory, () => {
      const entries = this.loadNow()
      const isAsRead = entries.length === from.length && entries.every((entry, at) => isSameEntry(entry, from[at]))
      if (isAsRead) this.#write(to)
      return isAsRead
    })
  }

  #write(entries: readonly RingEntry[]): void {
    writeDurably(this.#directory.keyRingFile, ringFileOf(entries))
  }
}

/** The data keys that may open the ring once a rotation has begun, read again. Empty where `DATA_KEY` is a setting. */
function dataKeysNow(directory: DataDirectory, configured: ConfiguredKey): Uint8Array[] {
  if (configured.dataKey !== null) return []
  const files =
    configured.dataKeyFile === null ? [directory.dataKeyFile, directory.nextDataKeyFile] : [configured.dataKeyFile]
  return files.filter((file) => existsSync(file)).map(readDataKeyFile)
}

/** Opens the ring of a folder with its data key. Throws `KeyRingUnusable`. */
export const openKeyRingIn = (
  directory: DataDirectory,
  configured: ConfiguredKey,
  options: { readonly mayCreate: boolean; readonly clock?: Clock },
): Promise<KeyRing> =>
  openKeyRing({
    ...options,
    dataKey: readDataKey(directory, configured),
    otherKeys: () => dataKeysNow(directory, configured),
    storage: new KeyRingFile(directory),
  })

/**
 * Wraps the ring of a folder with `dataKey`, and puts that key in the place of the old one, where the folder has the key.
 * A process that is killed at any point leaves a folder that opens. `written`: the folder has the key. Throws
 * `KeyRingUnusable`, also where another process does the same.
 */
export async function replaceDataKey(
  directory: DataDirectory,
  configured: ConfiguredKey,
  dataKey: Uint8Array,
): Promise<{ replaced: boolean; written: boolean }> {
  const lock = takeFileLock(`${directory.keyRingFile}-rotation`)
  if (lock === null) throw new KeyRingUnusable('another process is replacing the data key: wait for it')
  try {
    const ring = await openKeyRingIn(directory, configured, { mayCreate: false })
    const written = configured.dataKey === null && configured.dataKeyFile === null
    if (written) await finishDataKey(directory, ring)
    if (written) writeDurably(directory.nextDataKeyFile, dataKeyFileOf(dataKey))
    const replaced = await ring.wrapWith(dataKey)
    if (written) await finishDataKey(directory, ring)
    return { replaced, written }
  } finally {
    lock.release()
  }
}

/** Ends what a killed process has begun: the next data key takes its place, if the ring is wrapped with it. */
export async function finishDataKey(directory: DataDirectory, ring: KeyRing): Promise<void> {
  if (!existsSync(directory.nextDataKeyFile)) return
  const next = readDataKeyFile(directory.nextDataKeyFile)
  if (await ring.isWrappedWith(next)) moveDurably(directory.nextDataKeyFile, directory.dataKeyFile)
}
