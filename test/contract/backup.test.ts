import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import SqliteDatabase from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeBackup, type BackupOptions } from '../../src/adapters/backup.ts'
import { KeyRingFile, openDataDirectory } from '../../src/adapters/data-directory.ts'
import { openKeyRing } from '../../src/adapters/key-ring.ts'
import { openSqliteFile } from '../../src/adapters/sqlite.ts'
import { temporaryFolder } from '../support/node-process.ts'

const rowsAtFirst = 2_000
/** More than two steps of the copy. */
const bytesPerRow = 20_000

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let writer: SqliteDatabase.Database
let options: BackupOptions

beforeEach(async () => {
  folder = await temporaryFolder()
  const directory = openDataDirectory(join(folder.path, 'data'))
  openSqliteFile(directory.journalFile).close()
  writer = openSqliteFile(directory.mainFile)
  writer.exec('CREATE TABLE filled (id INTEGER PRIMARY KEY, filling BLOB)')
  const row = writer.prepare('INSERT INTO filled (filling) VALUES (?)')
  const filling = randomBytes(bytesPerRow)
  writer.transaction(() => {
    for (let n = 0; n < rowsAtFirst; n += 1) row.run(filling)
  })()
  const storage = new KeyRingFile(directory)
  options = {
    directory,
    keys: await openKeyRing({ dataKey: new Uint8Array(randomBytes(32)), storage, mayCreate: true }),
    folder: join(folder.path, 'backups'),
    clock: Date.now,
    keep: null,
    auditHeadOf: async () => null,
    progress: () => undefined,
  }
})
afterEach(async () => {
  writer.close()
  await folder.remove()
})

const write = (): void => {
  writer.exec(`INSERT INTO filled (filling) VALUES (x'00')`)
}

test('a writer between any two steps neither makes the copy begin anew nor shows in it', async () => {
  let steps = 0
  const taken = await takeBackup({
    ...options,
    progress: (file) => {
      if (file !== 'main.db') return
      steps += 1
      if (steps > 50) throw new Error('the copy begins anew again and again')
      write()
    },
  })
  expect(steps).toBeGreaterThan(2)
  const copy = new SqliteDatabase(join(taken.path, 'main.db'), { readonly: true })
  expect(copy.prepare('SELECT count(*) FROM filled').pluck().get()).toBe(rowsAtFirst)
  expect(copy.pragma('integrity_check', { simple: true })).toBe('ok')
  copy.close()
  expect(readdirSync(taken.path).toSorted()).toEqual(['journal.db', 'main.db', 'manifest.json'])
})

test('of two backups to one place the second is refused, and the first goes on', async () => {
  const second: Promise<unknown>[] = []
  const taken = await takeBackup({
    ...options,
    progress: () => {
      if (second.length === 0)
        second.push(expect(takeBackup(options)).rejects.toThrow('another backup is being written'))
    },
  })
  await Promise.all(second)
  expect(readdirSync(options.folder)).toContain(taken.name)
})

test('one that fails half-way leaves nothing of itself', async () => {
  const failing = { ...options, auditHeadOf: () => Promise.reject(new Error('the disk is full')) }
  await expect(takeBackup(failing)).rejects.toThrow('the disk is full')
  expect(readdirSync(options.folder)).toEqual(['.lock'])
})

const takeAt = (hour: number, keep: number | null = null) =>
  takeBackup({ ...options, keep, clock: () => Date.UTC(2026, 10, 22, hour) })

test('the oldest are dropped, as many as asked for', async () => {
  const names = [await takeAt(1), await takeAt(2), await takeAt(3)].map(({ name }) => name)
  const last = await takeAt(4, 2)
  expect(last.dropped).toEqual(names.slice(0, 2))
  const left = readdirSync(options.folder).filter((name) => name.startsWith('2026'))
  expect(new Set(left)).toEqual(new Set([names[2], last.name]))
})

test('the one just taken is never dropped, also where the clock went back', async () => {
  const before = await takeAt(5)
  const last = await takeAt(4, 1)
  expect(last.dropped).toEqual([before.name])
  expect(readdirSync(options.folder)).toContain(last.name)
})

test('a place that leads into DATA_DIR by a link is inside it', async () => {
  mkdirSync(join(options.directory.path, 'within'))
  symlinkSync(join(options.directory.path, 'within'), options.folder)
  await expect(takeBackup({ ...options, folder: join(options.folder, 'deeper') })).rejects.toThrow('inside DATA_DIR')
})
