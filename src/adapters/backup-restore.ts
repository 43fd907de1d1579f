import { chmodSync, copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type SqliteDatabase from 'better-sqlite3'
import { appliedMigrations, pendingMigrations } from '../ports/schema.ts'
import { backupDatabases, backupTime, BackupUnusable, listBackups, ringFileIn } from './backup-folder.ts'
import { digestOf, readManifest, type BackupManifest } from './backup-manifest.ts'
import type { BackupProgress } from './backup.ts'
import { KeyRingFile, openDataDirectory, type DataDirectory } from './data-directory.ts'
import { syncPath } from './durable-files.ts'
import { openKeyRing } from './key-ring.ts'
import { openSqliteFile, Sqlite } from './sqlite.ts'

/** A backup's files, copied next to the data and checked as far as files alone allow. */
export interface StagedBackup {
  readonly name: string
  readonly manifest: BackupManifest
  readonly directory: DataDirectory
  /** The migrations that the copies still lack. */
  readonly pending: readonly string[]
}

/** The newest backup, or the newest one not later than `at`. Throws `BackupUnusable`. */
export function chooseBackup(folder: string, at: string | null): string {
  if (!existsSync(folder)) throw new BackupUnusable(`there is no folder ${folder}; name the folder of the backups`)
  const names = listBackups(folder)
  const until = at === null ? Number.POSITIVE_INFINITY : backupTime(at)
  if (Number.isNaN(until)) throw new BackupUnusable('--at is no time; write it as 2026-11-22T08:30:00Z')
  const chosen = names.findLast((name) => backupTime(name) <= until)
  if (chosen !== undefined) return chosen
  const [first] = names
  throw new BackupUnusable(
    first === undefined
      ? `there is no whole backup in ${folder}; name the folder of the backups`
      : `there is no backup from before that time in ${folder}; the oldest is ${first}`,
  )
}

/** Copies one file of a backup and compares the copy with the manifest. So the checked bytes are the ones used. */
function copyChecked(backup: string, file: 'journal.db' | 'main.db', target: string, manifest: BackupManifest): void {
  const source = join(backup, file)
  if (!existsSync(source)) throw new BackupUnusable(`${source} is missing; choose another backup`)
  copyFileSync(source, target)
  chmodSync(target, 0o600)
  const { bytes, sha256 } = digestOf(target)
  const expected = manifest.files[file]
  if (bytes !== expected.bytes || sha256 !== expected.sha256) {
    throw new BackupUnusable(`${source} is not what its manifest says (SHA-256); choose another backup`)
  }
}

const requireIntegrity = (connection: SqliteDatabase.Database, file: string): void => {
  const answer = connection.pragma('integrity_check(1)', { simple: true })
  const orphans = connection.pragma('foreign_key_check')
  if (answer !== 'ok' || !Array.isArray(orphans) || orphans.length > 0) {
    throw new BackupUnusable(`${file} is damaged (integrity_check); choose another backup`)
  }
}

async function inspectCopies(directory: DataDirectory, progress: BackupProgress): Promise<string[]> {
  const paths = { journal: directory.journalFile, main: directory.mainFile }
  const pending: string[] = []
  for (const { role, file } of backupDatabases) {
    const connection = openSqliteFile(paths[role])
    try {
      pending.push(...pendingMigrations(role, await appliedMigrations(new Sqlite(connection))))
      requireIntegrity(connection, file)
    } finally {
      connection.close()
    }
    progress(`checked ${file}`, 1)
  }
  return pending
}

/**
 * Copies a backup into the new folder `staging` and checks it there: the files match the manifest, `dataKey` opens the
 * key ring, the manifest was made with that ring, the schema is not newer than the code, and the databases are sound.
 * Throws `BackupUnusable`, `KeyRingUnusable`, `SchemaMismatch`. The caller then deletes what was copied.
 */
export async function stageBackup(options: {
  readonly folder: string
  readonly name: string
  readonly staging: string
  readonly dataKey: Uint8Array
  readonly progress: BackupProgress
}): Promise<StagedBackup> {
  const { folder, name, staging, progress } = options
  const backup = join(folder, name)
  const { content: manifest, requireProof } = readManifest(backup, name)
  if (!existsSync(ringFileIn(folder))) {
    throw new BackupUnusable(
      `the key ring ${ringFileIn(folder)} is missing; put it back, for without it no backup of this folder can be read`,
    )
  }
  mkdirSync(staging, { mode: 0o700 })
  const directory = openDataDirectory(staging)
  copyFileSync(ringFileIn(folder), directory.keyRingFile)
  chmodSync(directory.keyRingFile, 0o600)
  const storage = new KeyRingFile(directory)
  requireProof(await openKeyRing({ dataKey: options.dataKey, storage, mayCreate: false }))
  for (const [file, target] of [
    ['journal.db', directory.journalFile],
    ['main.db', directory.mainFile],
  ] as const) {
    copyChecked(backup, file, target, manifest)
    progress(`copied ${file}`, 1)
  }
  const pending = await inspectCopies(directory, progress)
  return { name, manifest, directory, pending }
}

/** Makes the staged files survive a loss of power. Call it when nothing has them open any more. */
export function syncStaged({ path, keyRingFile, journalFile, mainFile }: DataDirectory): void {
  for (const file of [keyRingFile, journalFile, mainFile, path]) syncPath(file)
}
