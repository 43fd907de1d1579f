import SqliteDatabase from 'better-sqlite3'

/**
 * Takes a lock file for this process until `release`, or until the process dies however it dies: SQLite's exclusive
 * file lock is the kernel's. Null where another process holds it.
 */
export function takeFileLock(path: string): { release(): void } | null {
  const lock = new SqliteDatabase(path, { timeout: 0 })
  try {
    lock.pragma('locking_mode = EXCLUSIVE')
    lock.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    lock.close()
    if (cause instanceof SqliteDatabase.SqliteError && cause.code.startsWith('SQLITE_BUSY')) return null
    throw cause
  }
  return { release: () => lock.close() }
}
