import SqliteDatabase from 'better-sqlite3'

/**
 * Locks a file for this process until `release`, or until the process ends in any way: SQLite's exclusive lock is held
 * by the kernel. Null if another process holds the lock.
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
