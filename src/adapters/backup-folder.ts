import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import type { DataDirectory } from './data-directory.ts'
import { moveDurably, syncPath } from './durable-files.ts'
import { takeFileLock } from './file-lock.ts'

/**
 * A place for backups: a folder for each, named by its time, and one key ring for all of them. A backup is written
 * under a name that no reader takes for one and renamed when it is whole.
 */

/** A backup cannot be made or restored. The message says what to do. */
export class BackupUnusable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BackupUnusable'
  }
}

/** The two databases of a backup, in the order of copying. */
export const backupDatabases = [
  { role: 'journal', file: 'journal.db' },
  { role: 'main', file: 'main.db' },
] as const

export const ringFileIn = (folder: string): string => join(folder, 'key-ring')

const namePattern = /^\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3}Z$/
const unfinishedPattern = /^\.\d{4}-[\dTZ.-]+\.partial$/

/** A file name for a time (UTC milliseconds): RFC 3339 without the colons that some file systems refuse. */
export const backupName = (at: number): string => new Date(at).toISOString().replaceAll(':', '-')

/** The time of a backup name, or of RFC 3339 text that somebody typed. NaN for anything else. */
export const backupTime = (text: string): number =>
  Date.parse(text.replace(/^(\d{4}-\d{2}-\d{2}T\d{2})-(\d{2})-(\d{2})/, '$1:$2:$3'))

export const unfinishedName = (name: string): string => `.${name}.partial`

/** The complete backups of a folder, oldest first. */
export const listBackups = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && namePattern.test(entry.name))
    .map((entry) => entry.name)
    .toSorted()

/** Deletes what interrupted backups left. Only the holder of the folder's lock may call it. */
export function removeUnfinished(folder: string): void {
  for (const entry of readdirSync(folder)) {
    if (unfinishedPattern.test(entry)) rmSync(join(folder, entry), { recursive: true })
  }
}

/**
 * Deletes the oldest backups until `keep` are left, and returns their names. Never deletes `taken`, even if the clock
 * went back. A half-deleted backup no longer counts as one.
 */
export function dropOldBackups(folder: string, keep: number, taken: string): string[] {
  const others = listBackups(folder).filter((name) => name !== taken)
  const dropped = others.slice(0, Math.max(0, others.length + 1 - keep))
  for (const name of dropped) {
    const unfinished = join(folder, unfinishedName(name))
    moveDurably(join(folder, name), unfinished)
    rmSync(unfinished, { recursive: true })
  }
  return dropped
}

/** The real path of a folder that may not exist yet. */
const realPathOf = (path: string): string => {
  const absolute = resolve(path)
  if (existsSync(absolute)) return realpathSync(absolute)
  return join(realPathOf(dirname(absolute)), basename(absolute))
}

/** Throws `BackupUnusable` if the backups would lie in the folder that they are a backup of. */
export function requireOutside(directory: DataDirectory, folder: string): void {
  const data = realPathOf(directory.path)
  if (realPathOf(folder) === data || realPathOf(folder).startsWith(`${data}${sep}`)) {
    throw new BackupUnusable(`${folder} lies inside DATA_DIR; name a folder elsewhere, on another disk if there is one`)
  }
}

/** Makes the folder if it is missing, and locks it for one backup at a time. */
export function openBackupFolder(folder: string): { release(): void } {
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    syncPath(dirname(resolve(folder)))
  }
  const lock = takeFileLock(join(folder, '.lock'))
  if (lock === null) throw new BackupUnusable(`another backup is being written to ${folder}; wait for its end`)
  return lock
}
