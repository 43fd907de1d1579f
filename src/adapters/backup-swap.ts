import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { z } from 'zod'
import type { DataDirectory } from './data-directory.ts'
import { moveDurably, syncPath, writeDurably } from './durable-files.ts'

/**
 * Puts restored files in the place of the old ones. Several renames are not atomic, so a marker that names the work is
 * written first. From then on the restore counts as done: whoever locks the folder next finishes it.
 */

const markerShape = z.strictObject({ staging: z.string(), aside: z.string().nullable() })
type Swap = z.infer<typeof markerShape>

const markerIn = (directory: DataDirectory): string => join(directory.path, 'restore-under-way')
const stagingPrefix = 'restoring-'

/** A database file and the files that SQLite puts beside it. Those must be moved first. */
const withCompanions = (file: string): string[] =>
  file.endsWith('.db') ? [`${file}-wal`, `${file}-shm`, file] : [file]

const swappedFiles = ['key-ring', 'journal.db', 'main.db']

/** Whether a folder holds anything that a restore would replace. */
export const holdsData = (directory: DataDirectory): boolean =>
  swappedFiles.flatMap(withCompanions).some((file) => existsSync(join(directory.path, file)))

/** The folder in which a restore works. It lies inside `DATA_DIR`, so that files can be renamed out of it. */
export const stagingPath = (directory: DataDirectory, at: number): string =>
  join(directory.path, `${stagingPrefix}${at}`)

/** Can be run again after each step: a staged file that is missing has already been moved. */
function finish(directory: DataDirectory, { staging, aside }: Swap): void {
  const staged = join(directory.path, staging)
  for (const file of swappedFiles) {
    if (!existsSync(join(staged, file))) continue
    for (const old of withCompanions(file).filter((name) => existsSync(join(directory.path, name)))) {
      if (aside === null) throw new Error(`${join(directory.path, old)} is in the way of a restore; move it elsewhere`)
      mkdirSync(join(directory.path, aside), { recursive: true, mode: 0o700 })
      moveDurably(join(directory.path, old), join(directory.path, aside, old))
    }
    moveDurably(join(staged, file), join(directory.path, file))
  }
  unlinkSync(markerIn(directory))
  syncPath(directory.path)
}

const readMarker = (directory: DataDirectory): Swap | null =>
  existsSync(markerIn(directory)) ? markerShape.parse(JSON.parse(readFileSync(markerIn(directory), 'utf8'))) : null

/** Whether a restore was interrupted after its files were checked. The folder then holds files of two ages. */
export const isHalfRestored = (directory: DataDirectory): boolean => existsSync(markerIn(directory))

/**
 * Finishes a restore that was interrupted while it moved files, and deletes one that did not come so far. Returns
 * whether it finished one. Only the holder of the folder's lock may call it.
 */
export function settleRestore(directory: DataDirectory): boolean {
  const marker = readMarker(directory)
  if (marker !== null) finish(directory, marker)
  for (const entry of readdirSync(directory.path)) {
    if (entry.startsWith(stagingPrefix)) rmSync(join(directory.path, entry), { recursive: true })
  }
  return marker !== null
}

/**
 * Moves the files of `staging`, a folder directly inside `directory`, into place. Keeps the old ones in the folder
 * `aside`, if given.
 */
export function swapIn(directory: DataDirectory, staging: string, aside: string | null): void {
  if (!existsSync(join(staging, 'main.db'))) throw new Error(`${staging} holds no restored database`)
  const swap: Swap = { staging: basename(staging), aside }
  writeDurably(markerIn(directory), JSON.stringify(swap))
  settleRestore(directory)
}
