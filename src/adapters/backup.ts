import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import SqliteDatabase from 'better-sqlite3'
import type { Database } from '../ports/database.ts'
import type { Keys } from '../ports/keys.ts'
import { appliedMigrations } from '../ports/schema.ts'
import {
  backupDatabases,
  backupName,
  dropOldBackups,
  openBackupFolder,
  removeUnfinished,
  requireOutside,
  ringFileIn,
  unfinishedName,
} from './backup-folder.ts'
import { digestOf, requireSameRing, writeManifest, type FileDigest } from './backup-manifest.ts'
import type { DataDirectory } from './data-directory.ts'
import { moveDurably, syncPath, writeDurably } from './durable-files.ts'
import { openSqliteFile, Sqlite } from './sqlite.ts'

/** Called with the copied part of a file, from 0 to 1. */
export type BackupProgress = (file: string, part: number) => void

export interface BackupOptions {
  readonly directory: DataDirectory
  readonly keys: Keys
  /** The folder of the backups; it must lie outside `DATA_DIR`. */
  readonly folder: string
  readonly clock: () => number
  /** How many backups to keep. Null: all. */
  readonly keep: number | null
  /** Reads the newest audit seal from the copy. */
  readonly auditHeadOf: (main: Database) => Promise<string | null>
  readonly progress: BackupProgress
}

/** A complete backup on the disk. */
export interface TakenBackup {
  readonly name: string
  readonly path: string
  readonly files: Readonly<Record<'journal.db' | 'main.db', FileDigest>>
  readonly auditHead: string | null
  readonly dropped: readonly string[]
}

/** 16 MiB a step. */
const pagesPerStep = 4_096

/**
 * Copies a database as it is at one moment, while the service goes on writing. The connection holds a read transaction:
 * without it, each write between two steps would start the copy again, and under load it would never end.
 */
async function copySnapshot(source: string, target: string, progress: (part: number) => void): Promise<void> {
  const connection = openSqliteFile(source, { readonly: true })
  try {
    connection.exec('BEGIN')
    // The transaction shows the database as it is at its first read.
    connection.prepare('SELECT name FROM sqlite_schema LIMIT 1').get()
    await connection.backup(target, {
      progress: ({ totalPages, remainingPages }) => {
        progress(totalPages === 0 ? 1 : 1 - remainingPages / totalPages)
        return pagesPerStep
      },
    })
    progress(1)
  } finally {
    connection.close()
  }
  chmodSync(target, 0o600)
}

/** Opens a copy for reading, and makes it a single file. */
async function whileCopyIsOpen<T>(path: string, act: (copy: Database) => Promise<T>): Promise<T> {
  const connection = new SqliteDatabase(path)
  try {
    connection.pragma('journal_mode = DELETE')
    return await act(new Sqlite(connection))
  } finally {
    connection.close()
    syncPath(path)
  }
}

async function write(options: BackupOptions, name: string, unfinished: string): Promise<TakenBackup> {
  const { directory, folder, progress } = options
  const sources = { journal: directory.journalFile, main: directory.mainFile }
  let at = 0
  for (const { role, file } of backupDatabases) {
    at = options.clock()
    await copySnapshot(sources[role], join(unfinished, file), (part) => progress(file, part))
  }
  const journal = await whileCopyIsOpen(join(unfinished, 'journal.db'), appliedMigrations)
  const { main, auditHead } = await whileCopyIsOpen(join(unfinished, 'main.db'), async (copy) => ({
    main: await appliedMigrations(copy),
    auditHead: await options.auditHeadOf(copy),
  }))
  const files = {
    'journal.db': digestOf(join(unfinished, 'journal.db')),
    'main.db': digestOf(join(unfinished, 'main.db')),
  }
  writeManifest(
    unfinished,
    name,
    { format: 1, at: new Date(at).toISOString(), migrations: { journal, main }, files, auditHead },
    options.keys,
  )
  // After the copies, so that the ring has the key of every value in them. Before the rename, so that no complete
  // backup lacks the ring.
  requireSameRing(directory, folder, options.keys)
  writeDurably(ringFileIn(folder), readFileSync(directory.keyRingFile))
  const path = join(folder, name)
  syncPath(unfinished)
  moveDurably(unfinished, path)
  return { name, path, files, auditHead, dropped: [] }
}

/**
 * Takes a backup while a service may be running: first the journal, then the main database, then the key ring, of which
 * the folder has one for all backups. `DATA_KEY` is not part of it. Throws `BackupUnusable`.
 */
export async function takeBackup(options: BackupOptions): Promise<TakenBackup> {
  const { directory, folder } = options
  requireOutside(directory, folder)
  const lock = openBackupFolder(folder)
  try {
    requireSameRing(directory, folder, options.keys)
    removeUnfinished(folder)
    const name = backupName(options.clock())
    const unfinished = join(folder, unfinishedName(name))
    mkdirSync(unfinished, { mode: 0o700 })
    const taken = await write(options, name, unfinished)
    return { ...taken, dropped: options.keep === null ? [] : dropOldBackups(folder, options.keep, name) }
  } catch (error) {
    // If the disk ran full, free it again.
    removeUnfinished(folder)
    throw error
  } finally {
    lock.release()
  }
}
