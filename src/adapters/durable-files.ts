import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Makes a file's content, or the names in a folder, survive a loss of power. */
export function syncPath(path: string): void {
  const opened = openSync(path, 'r')
  try {
    fsyncSync(opened)
  } finally {
    closeSync(opened)
  }
}

/** Writes a file for its owner only. After a crash it exists completely or not at all. */
export function writeDurably(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeFileSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  syncPath(dirname(path))
}

/** Renames durably within one file system. */
export function moveDurably(from: string, to: string): void {
  renameSync(from, to)
  syncPath(dirname(to))
  if (dirname(from) !== dirname(to)) syncPath(dirname(from))
}
