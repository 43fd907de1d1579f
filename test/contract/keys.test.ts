import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  DataDirectoryLocked,
  DataDirectoryOpen,
  holdsDatabase,
  KeyRingFile,
  lockDataDirectory,
  openDataDirectory,
  readDataKey,
  type DataDirectory,
} from '../../src/adapters/data-directory.ts'
import { KeyRingDatabase } from '../../src/adapters/key-ring-d1.ts'
import { KeyRingUnusable, openKeyRing, sha256, type KeyRing, type RingStorage } from '../../src/adapters/key-ring.ts'
import { settleMilliseconds } from '../../src/adapters/main-secrets.ts'
import { openSqliteFile } from '../../src/adapters/sqlite.ts'
import { command, type Database } from '../../src/ports/database.ts'
import { openText, SealBroken, sealText, type Place, type Sealer } from '../../src/ports/keys.ts'
import { engines, migrateD1 } from '../support/engines.ts'
import { startLocalD1 } from '../support/local-d1.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { sourceModule, startChild } from './child.ts'

let folder: { path: string; remove(): Promise<void> }

beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder.remove())

let directories = 0
const newDirectory = (): DataDirectory => openDataDirectory(join(folder.path, `data-${(directories += 1)}`))

/** One empty ring. */
interface RingPlace {
  /** The ring as one more process or isolate sees it. */
  storage(): RingStorage
  /** Drops one entry, as the month's end does. */
  drop(id: string): Promise<void>
  /** Changes one byte of an entry. */
  damage(id: string): Promise<void>
}

const ringFile = async (): Promise<RingPlace> => {
  const directory = newDirectory()
  type Entry = { id: string; wrapped: string; createdAt: number }
  const rewrite = (change: (entries: Entry[]) => Entry[]): void => {
    const ring = JSON.parse(readFileSync(directory.keyRingFile, 'utf8')) as { entries: Entry[] }
    writeFileSync(directory.keyRingFile, JSON.stringify({ ...ring, entries: change(ring.entries) }))
  }
  return {
    storage: () => new KeyRingFile(directory),
    drop: async (id) => rewrite((entries) => entries.filter((entry) => entry.id !== id)),
    damage: async (id) =>
      rewrite((entries) =>
        entries.map((entry) => {
          if (entry.id !== id) return entry
          const wrapped = Buffer.from(entry.wrapped, 'base64')
          wrapped.writeUInt8(wrapped.readUInt8(40) ^ 1, 40)
          return { ...entry, wrapped: wrapped.toString('base64') }
        }),
      ),
  }
}

const ringIn = async (keysDatabase: Database): Promise<RingPlace> => {
  await keysDatabase.batch([command('DELETE FROM key_ring')])
  return {
    storage: () => new KeyRingDatabase(keysDatabase),
    drop: async (id) => void (await keysDatabase.batch([command('DELETE FROM key_ring WHERE id = ?', id)])),
    damage: async (id) => {
      const entry = (await new KeyRingDatabase(keysDatabase).load()).find((candidate) => candidate.id === id)
      const wrapped = Uint8Array.from(entry?.wrapped ?? expect.unreachable())
      wrapped[40] = (wrapped[40] ?? 0) ^ 1
      await keysDatabase.batch([command('UPDATE key_ring SET wrapped = ? WHERE id = ?', wrapped, id)])
    },
  }
}

const place: Place = { table: 'mailboxes', column: 'address_sealed', row: 'row-1' }
const logPlace: Place = { table: 'query_log', column: 'address_sealed', row: 4_711 }
const address = 'alice@bücher.example'

const november = Date.parse('2026-11-21T12:00:00Z')
const endOfNovember = Date.parse('2026-11-30T23:59:59.999Z')
const december = Date.parse('2026-12-01T00:00:00Z')

const keyIdOf = (envelope: Uint8Array): string => Buffer.from(envelope.subarray(2, 2 + (envelope[1] ?? 0))).toString()

/** Rings one after the other, and the end of what they are in. */
interface RingPlaces {
  next(): Promise<RingPlace>
  close(): Promise<void>
}

async function openKeysDatabase(): Promise<RingPlaces> {
  const local = await startLocalD1()
  const binding = local.bindings['DB_KEYS']
  if (binding === undefined) throw new Error('no binding DB_KEYS')
  const database = await migrateD1('keys', binding)
  return { next: () => ringIn(database), close: () => local.close() }
}

const places = {
  sqlite: { name: 'a file', open: async (): Promise<RingPlaces> => ({ next: ringFile, close: async () => undefined }) },
  d1: { name: 'a database', open: openKeysDatabase },
}

describe.each(engines.map((engine) => places[engine]))('a key ring in $name', (where) => {
  let opened: RingPlaces
  let ringPlace: RingPlace
  let dataKey: Uint8Array
  let now: number
  const open = (
    options: { mayCreate?: boolean; dataKey?: Uint8Array; otherKeys?: () => readonly Uint8Array[] } = {},
  ): Promise<KeyRing> =>
    openKeyRing({ dataKey, storage: ringPlace.storage(), mayCreate: false, clock: () => now, ...options })
  let ring: KeyRing

  beforeAll(async () => {
    opened = await where.open()
  })
  afterAll(() => opened.close())
  beforeEach(async () => {
    ringPlace = await opened.next()
    dataKey = new Uint8Array(randomBytes(32))
    now = november
    ring = await open({ mayCreate: true })
    await ring.journal.prepare(november)
  })

  const sealers = ['main', 'journal'] as const

  describe.each(sealers)('seals for %s', (name) => {
    let sealer: Sealer
    let at: Place
    beforeEach(() => {
      sealer = ring[name]
      at = name === 'main' ? place : logPlace
    })

    test.each([0, 1, 16, 1_000, 70_000])('%i bytes, and opens them', (length) => {
      const plaintext = new Uint8Array(randomBytes(length))
      expect(sealer.open(at, sealer.seal(at, plaintext))).toStrictEqual(plaintext)
    })

    test('a text, and opens it again after a restart', async () => {
      const envelope = sealText(sealer, at, address)
      expect(Buffer.from(envelope).includes('alice')).toBe(false)
      expect(openText(sealer, at, envelope)).toBe(address)
      expect(openText((await open())[name], at, envelope)).toBe(address)
    })

    test('equal texts differently each time', () => {
      const envelopes = Array.from({ length: 1_000 }, () => Buffer.from(sealText(sealer, at, address)).toString('hex'))
      expect(new Set(envelopes).size).toBe(1_000)
      const start = 2 * (2 + (Buffer.from(envelopes[0] ?? '', 'hex')[1] ?? 0))
      expect(new Set(envelopes.map((envelope) => envelope.slice(start, start + 24))).size).toBe(1_000)
    })

    test.each<[string, Partial<Place>]>([
      ['row', { row: 'row-2' }],
      ['column', { column: 'device_sealed' }],
      ['table', { table: 'registrations' }],
    ])('to one place: moved to another %s it does not open', (_, other) => {
      const envelope = sealText(sealer, at, address)
      expect(() => sealer.open({ ...at, ...other }, envelope)).toThrow(SealBroken)
    })

    test('so that the parts of a place do not run into each other', () => {
      const envelope = sealText(sealer, { table: 'ab', column: 'c', row: 'd' }, address)
      expect(() => sealer.open({ table: 'ab', column: 'cd', row: '' }, envelope)).toThrow(SealBroken)
    })

    const regions: [string, (envelope: Uint8Array, idLength: number) => number][] = [
      ['version', () => 0],
      ['length of the key id', () => 1],
      ['first byte of the key id', () => 2],
      ['last byte of the key id', (_, idLength) => 1 + idLength],
      ['nonce', (_, idLength) => 2 + idLength],
      ['last byte of the nonce', (_, idLength) => 2 + idLength + 11],
      ['ciphertext', (_, idLength) => 2 + idLength + 12],
      ['last byte of the ciphertext', (envelope) => envelope.length - 17],
      ['tag', (envelope) => envelope.length - 16],
      ['last byte of the tag', (envelope) => envelope.length - 1],
    ]
    test.each(regions)('so that nothing can be altered: %s', (_, position) => {
      const envelope = sealText(sealer, at, address)
      const offset = position(envelope, envelope[1] ?? 0)
      for (const bit of [0x01, 0x02, 0x80]) {
        const altered = Uint8Array.from(envelope)
        altered[offset] = (altered[offset] ?? 0) ^ bit
        expect(() => sealer.open(at, altered)).toThrow(SealBroken)
      }
    })

    test('so that nothing can be cut off or added', () => {
      const envelope = sealText(sealer, at, address)
      for (let length = 0; length < envelope.length; length += 1) {
        expect(() => sealer.open(at, envelope.subarray(0, length))).toThrow(SealBroken)
      }
      expect(() => sealer.open(at, Buffer.concat([envelope, Uint8Array.of(0)]))).toThrow(SealBroken)
    })

    test('and says of what does not open neither text nor row', () => {
      const failure = ((): unknown => {
        try {
          return sealer.open({ ...at, row: 'secret-row' }, sealText(sealer, at, address))
        } catch (error) {
          return error
        }
      })()
      expect(String(failure)).toContain(`${at.table}.${at.column}`)
      expect(String(failure)).not.toContain('secret-row')
      expect(String(failure)).not.toContain('alice')
    })

    test('so that another ring does not open it', async () => {
      const envelope = sealText(sealer, at, address)
      const other = await openKeyRing({
        dataKey: new Uint8Array(randomBytes(32)),
        storage: new KeyRingFile(newDirectory()),
        mayCreate: true,
      })
      await other.journal.prepare(november)
      expect(() => other[name].open(at, envelope)).toThrow(SealBroken)
    })
  })

  test('what is sealed for one database does not open in the other', () => {
    expect(() => ring.journal.open(place, sealText(ring.main, place, address))).toThrow(SealBroken)
    expect(() => ring.main.open(place, sealText(ring.journal, place, address))).toThrow(SealBroken)
  })

  test('the blind index is equal for equal keys, also after a restart, and no plain hash', async () => {
    const index = ring.blindIndex(address)
    expect(index).toHaveLength(32)
    expect(ring.blindIndex(address)).toStrictEqual(index)
    expect((await open()).blindIndex(address)).toStrictEqual(index)
    expect(ring.blindIndex('bob@example.com')).not.toEqual(index)
    expect(index).not.toEqual(sha256(new TextEncoder().encode(address)))
  })

  test('the blind index differs between rings', async () => {
    const storage = new KeyRingFile(newDirectory())
    // The same DATA_KEY: what differs is the ring's own secret.
    const other = await openKeyRing({ dataKey, storage, mayCreate: true })
    expect(other.blindIndex(address)).not.toEqual(ring.blindIndex(address))
  })

  describe('keyed hashes', () => {
    const bytes = new TextEncoder().encode('row-1, granted')
    const longBytes = new Uint8Array(randomBytes(5_000))

    test.each([['a text', 'row-1, granted'] as const, ['bytes', bytes] as const, ['many bytes', longBytes] as const])(
      'of %s fit, also after a restart',
      async (_, value) => {
        const mac = ring.mac('devices', value)
        expect(mac).toHaveLength(18)
        expect(ring.macFits('devices', value, mac)).toBe(true)
        const reopened = await open()
        expect(reopened.mac('devices', value)).toStrictEqual(mac)
        expect(reopened.macFits('devices', value, mac)).toBe(true)
      },
    )

    test('are HMAC-SHA-256 of the bytes, under one key for each purpose', () => {
      expect(ring.mac('devices', bytes)).toStrictEqual(ring.mac('devices', 'row-1, granted'))
      expect(ring.mac('mailboxes', bytes)).not.toEqual(ring.mac('devices', bytes))
      expect(ring.macFits('mailboxes', bytes, ring.mac('devices', bytes))).toBe(false)
    })

    test('do not fit what was altered, cut, lengthened or numbered anew', () => {
      const mac = ring.mac('devices', bytes)
      for (let at = 0; at < mac.length; at += 1) {
        expect(ring.macFits('devices', bytes, mac.with(at, (mac[at] ?? 0) ^ 1))).toBe(false)
        expect(ring.macFits('devices', bytes, mac.subarray(0, at))).toBe(false)
      }
      expect(ring.macFits('devices', bytes, Uint8Array.of(...mac, 0))).toBe(false)
      expect(ring.macFits('devices', 'row-1, granteD', mac)).toBe(false)
    })

    test('of another ring do not fit', async () => {
      const other = await openKeyRing({ dataKey, storage: new KeyRingFile(newDirectory()), mayCreate: true })
      expect(ring.macFits('devices', bytes, other.mac('devices', bytes))).toBe(false)
    })

    test('that values are looked up by are whole, and no MACs', () => {
      const [verifier, ...older] = ring.verifiers('credential', bytes)
      expect(older).toEqual([])
      expect(verifier).toHaveLength(34)
      expect(ring.verifiers('credential', bytes)).toStrictEqual([verifier])
      expect(verifier.subarray(0, 18)).not.toEqual(ring.mac('credential', bytes))
      expect(ring.verifiers('token', bytes)).not.toEqual([verifier])
    })
  })

  describe('with a second main secret', () => {
    /** Rotates, and lets the time pass that the new secret waits. */
    const rotate = async (): Promise<void> => {
      await ring.rotateMain()
      now += settleMilliseconds
    }

    test('it opens at once and seals in five minutes, and the first one goes on opening', async () => {
      const before = sealText(ring.main, place, address)
      expect(await ring.rotateMain()).toEqual({ id: 'main-2', does: 'waits', since: november + settleMilliseconds })
      expect(keyIdOf(sealText(ring.main, place, address))).toBe('main')
      now += settleMilliseconds - 1
      expect(keyIdOf(sealText(ring.main, place, address))).toBe('main')
      now += 1
      const after = sealText(ring.main, place, address)
      expect(keyIdOf(after)).toBe('main-2')
      for (const each of [ring, await open()]) {
        expect([before, after].map((envelope) => openText(each.main, place, envelope))).toEqual([address, address])
        expect(keyIdOf(sealText(each.main, place, address))).toBe('main-2')
        expect(each.sealerOf(place, after)).toEqual({ sealer: each.main, month: null })
        expect(each.mainSecrets()).toEqual([
          { id: 'main-2', does: 'seals', since: november + settleMilliseconds },
          { id: 'main', does: 'opens', since: null },
        ])
      }
    })

    test('another process knows it before it is used, if it reads the ring in time', async () => {
      const other = await open()
      await ring.rotateMain()
      now += settleMilliseconds - 1
      await other.refresh()
      now += 1
      expect(keyIdOf(sealText(other.main, place, address))).toBe('main-2')
      expect(openText(other.main, place, sealText(ring.main, place, address))).toBe(address)
      expect(other.verifiers('credential', address)).toStrictEqual(ring.verifiers('credential', address))
      expect(other.macFits('devices', address, ring.mac('devices', address))).toBe(true)
    })

    test('twelve rotations: the newest by number seals, and all open', async () => {
      const envelopes = [sealText(ring.main, place, address)]
      for (let rotation = 0; rotation < 12; rotation += 1) {
        await rotate()
        envelopes.push(sealText(ring.main, place, address))
      }
      expect(envelopes.map(keyIdOf).slice(-4)).toEqual(['main-10', 'main-11', 'main-12', 'main-13'])
      const reopened = await open()
      for (const envelope of envelopes) expect(openText(reopened.main, place, envelope)).toBe(address)
      expect(keyIdOf(sealText(reopened.main, place, address))).toBe('main-13')
    })

    test('the newest makes MACs, and those of both fit', async () => {
      const before = ring.mac('devices', address)
      await rotate()
      const after = ring.mac('devices', address)
      expect(after).not.toEqual(before)
      const reopened = await open()
      expect([before, after].map((mac) => reopened.macFits('devices', address, mac))).toEqual([true, true])
    })

    test('a value is looked up under both at once; the one to write comes first', async () => {
      const [old] = ring.verifiers('credential', address)
      await ring.rotateMain()
      const waiting = ring.verifiers('credential', address)
      expect(waiting[0]).toStrictEqual(old)
      now += settleMilliseconds
      expect(ring.verifiers('credential', address)).toStrictEqual(waiting.toReversed())
      expect((await open()).verifiers('credential', address)).toStrictEqual(waiting.toReversed())
    })

    test('blind indexes stay, as rows are found by them', async () => {
      const before = ring.blindIndex(address)
      await rotate()
      expect(ring.blindIndex(address)).toStrictEqual(before)
      expect((await open()).blindIndex(address)).toStrictEqual(before)
    })

    test('what names a secret that is gone neither opens nor fits', async () => {
      const [sealed, mac] = [sealText(ring.main, place, address), ring.mac('devices', address)]
      await rotate()
      await ringPlace.drop('main')
      const reopened = await open()
      expect(() => openText(reopened.main, place, sealed)).toThrow(SealBroken)
      expect(reopened.macFits('devices', address, mac)).toBe(false)
      expect(reopened.verifiers('credential', address)).toHaveLength(1)
    })

    test('two that rotate at once make one', async () => {
      const other = await open()
      const made = await Promise.all([ring.rotateMain(), other.rotateMain()])
      expect(made.map(({ id }) => id)).toEqual(['main-2', 'main-2'])
      now += settleMilliseconds
      expect(openText(other.main, place, sealText(ring.main, place, address))).toBe(address)
    })

    test.each(['main-1', 'main-02', 'main-65536', 'main-', 'mains'])('%s is the name of none', async (id) => {
      await ring.ensure(id)
      now += settleMilliseconds
      expect(keyIdOf(sealText(ring.main, place, address))).toBe('main')
      expect((await open()).verifiers('credential', address)).toHaveLength(1)
    })
  })

  describe('wrapped with another data key', () => {
    let next: Uint8Array
    beforeEach(() => {
      next = new Uint8Array(randomBytes(32))
    })

    test('opens with that key and no more with the old one', async () => {
      const [sealed, logged] = [sealText(ring.main, place, address), sealText(ring.journal, logPlace, address)]
      expect(await ring.wrapWith(next)).toBe(true)
      await expect(open()).rejects.toThrow('DATA_KEY does not open the key ring')
      const reopened = await open({ dataKey: next })
      expect(openText(reopened.main, place, sealed)).toBe(address)
      expect(openText(reopened.journal, logPlace, logged)).toBe(address)
      expect(reopened.blindIndex(address)).toStrictEqual(ring.blindIndex(address))
      expect(await reopened.wrapWith(next)).toBe(false)
    })

    test('goes on in the process that did it, and in one that finds the new key', async () => {
      const follower = await open({ otherKeys: () => [dataKey, next] })
      await ring.wrapWith(next)
      for (const each of [ring, follower]) await each.journal.prepare(december)
      await ring.rotateMain()
      now += settleMilliseconds
      await follower.refresh()
      expect(follower.isOutdated).toBe(false)
      expect(openText(follower.main, place, sealText(ring.main, place, address))).toBe(address)
      const reopened = await open({ dataKey: next })
      expect(openText(reopened.journal, logPlace, sealText(follower.journal, logPlace, address))).toBe(address)
    })

    test('a process that has only the old key goes on with what it knows, says so, and spoils nothing', async () => {
      const left = await open()
      await ring.wrapWith(next)
      now += settleMilliseconds
      await expect(left.refresh()).rejects.toThrow('DATA_KEY does not open the key ring')
      expect(left.isOutdated).toBe(true)
      expect(openText(left.main, place, sealText(ring.main, place, address))).toBe(address)
      await expect(left.journal.prepare(december)).rejects.toThrow(KeyRingUnusable)
      await expect(left.rotateMain()).rejects.toThrow(KeyRingUnusable)
      const ids = (await ringPlace.storage().load()).map(({ id }) => id)
      expect(ids.toSorted()).toEqual(['journal-2026-11', 'main'])
      await open({ dataKey: next })
    })

    test('takes no secret that was wrapped with the old key meanwhile', async () => {
      const storage = ringPlace.storage()
      const [read] = await storage.load()
      const late = { ...(read ?? expect.unreachable()), id: 'journal-2026-12' }
      await ring.wrapWith(next)
      await storage.add(late, read ?? null)
      expect((await storage.load()).map(({ id }) => id)).not.toContain('journal-2026-12')
    })

    test('opens with the key that is about to be replaced, as an isolate with both does, and ends with the new one', async () => {
      const sealed = sealText(ring.main, place, address)
      const both = { dataKey: next, otherKeys: () => [dataKey] }
      const isolates = await Promise.all([open(both), open(both)])
      await Promise.all(isolates.map((isolate) => isolate.wrapWith(next)))
      for (const isolate of isolates) expect(openText(isolate.main, place, sealed)).toBe(address)
      expect(openText((await open({ dataKey: next })).main, place, sealed)).toBe(address)
      await expect(open()).rejects.toThrow(KeyRingUnusable)
    })

    test('is not written over what was added meanwhile', async () => {
      const storage = ringPlace.storage()
      const read = await storage.load()
      await ring.journal.prepare(december)
      expect(await storage.replace(read, read)).toBe(false)
      expect(await storage.load()).toHaveLength(3)
    })

    test('loses nothing of what another process adds at the same time', async () => {
      const other = await open({ otherKeys: () => [next] })
      await Promise.all([ring.wrapWith(next), other.journal.prepare(december), other.rotateMain()])
      const ids = (await ringPlace.storage().load()).map(({ id }) => id)
      expect(ids.toSorted()).toEqual(['journal-2026-11', 'journal-2026-12', 'main', 'main-2'])
      await open({ dataKey: next })
    })

    test('with a key of another length is refused, and stays as it was', async () => {
      await expect(ring.wrapWith(new Uint8Array(16))).rejects.toThrow(KeyRingUnusable)
      await open()
    })
  })

  describe('the journal’s keys', () => {
    test('carry the day and the writer', async () => {
      const keyId = keyIdOf(sealText(ring.journal, logPlace, address))
      expect(keyId).toMatch(/^2026-11-21\.[\w-]{8}$/)
      expect(keyIdOf(sealText(ring.journal, logPlace, address))).toBe(keyId)
      const other = await open()
      await other.journal.prepare(november)
      const otherKeyId = keyIdOf(sealText(other.journal, logPlace, address))
      expect(otherKeyId).toMatch(/^2026-11-21\./)
      expect(otherKeyId).not.toBe(keyId)
    })

    test('seal nothing before they are prepared', async () => {
      const fresh = await open()
      expect(() => sealText(fresh.journal, logPlace, address)).toThrow(SealBroken)
    })

    test('go on over the ends of a day and of a month', async () => {
      const days = ['2026-11-30T23:59:59.999Z', '2026-12-01T00:00:00Z', '2026-12-02T00:00:00Z', '2027-01-01T00:00:00Z']
      const envelopes: Uint8Array[] = []
      for (const day of days) {
        await ring.journal.prepare(Date.parse(day))
        envelopes.push(sealText(ring.journal, logPlace, day))
      }
      expect(envelopes.map((envelope) => keyIdOf(envelope).slice(0, 10))).toEqual(days.map((day) => day.slice(0, 10)))
      expect(envelopes.map((envelope) => openText(ring.journal, logPlace, envelope))).toEqual(days)
      const reopened = await open()
      expect(envelopes.map((envelope) => openText(reopened.journal, logPlace, envelope))).toEqual(days)
      expect((await ringPlace.storage().load()).map(({ id }) => id).toSorted()).toEqual([
        'journal-2026-11',
        'journal-2026-12',
        'journal-2027-01',
        'main',
      ])
    })

    test('keep to the day while it lasts', async () => {
      await ring.journal.prepare(Date.parse('2026-11-21T23:59:59.999Z'))
      expect(keyIdOf(sealText(ring.journal, logPlace, address))).toMatch(/^2026-11-21\./)
      expect(await ringPlace.storage().load()).toHaveLength(2)
    })

    test('of months that passed here unused, while another writer used them, open with the next one', async () => {
      const idle = await open()
      await idle.journal.prepare(endOfNovember)
      const january = Date.parse('2027-01-01T00:00:00Z')
      const envelopes: Uint8Array[] = []
      for (const at of [december, january]) {
        await ring.journal.prepare(at)
        envelopes.push(sealText(ring.journal, logPlace, address))
      }
      for (const envelope of envelopes) expect(() => openText(idle.journal, logPlace, envelope)).toThrow(SealBroken)
      await idle.journal.prepare(january)
      for (const envelope of envelopes) expect(openText(idle.journal, logPlace, envelope)).toBe(address)
    })

    test('of a month whose entry is dropped are gone for good, and no others', async () => {
      await ring.journal.prepare(endOfNovember)
      const shredded = sealText(ring.journal, logPlace, 'of November')
      await ring.journal.prepare(december)
      const kept = sealText(ring.journal, logPlace, 'of December')
      const main = sealText(ring.main, place, address)
      await ringPlace.drop('journal-2026-11')
      const reopened = await open()
      expect(() => openText(reopened.journal, logPlace, shredded)).toThrow(SealBroken)
      expect(openText(reopened.journal, logPlace, kept)).toBe('of December')
      expect(openText(reopened.main, place, main)).toBe(address)
      // A new secret under the old name does not bring it back.
      await reopened.journal.prepare(november)
      expect(() => openText(reopened.journal, logPlace, shredded)).toThrow(SealBroken)
    })
  })

  describe('opened', () => {
    test('with another DATA_KEY is refused by name, and stays as it was', async () => {
      const before = await ringPlace.storage().load()
      const failure = await open({ dataKey: new Uint8Array(randomBytes(32)), mayCreate: true }).catch(
        (error: unknown) => error,
      )
      expect(failure).toBeInstanceOf(KeyRingUnusable)
      expect(String(failure)).toContain('DATA_KEY does not open the key ring')
      expect(await ringPlace.storage().load()).toEqual(before)
    })

    test.each([0, 16, 31, 33])('with a DATA_KEY of %i bytes is refused', async (length) => {
      await expect(open({ dataKey: new Uint8Array(length), mayCreate: true })).rejects.toThrow(KeyRingUnusable)
    })

    test('with a damaged entry is refused, and the entry named', async () => {
      await ringPlace.damage('journal-2026-11')
      const failure = await open().catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(KeyRingUnusable)
      expect(String(failure)).toContain('journal-2026-11')
    })

    test('while it is gone is refused beside data, and nothing is made', async () => {
      await ringPlace.drop('main')
      await ringPlace.drop('journal-2026-11')
      const failure = await open().catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(KeyRingUnusable)
      expect(String(failure)).toContain('the key ring is missing although a database exists')
      expect(await ringPlace.storage().load()).toEqual([])
    })

    test('without its main secret is refused beside data', async () => {
      await ringPlace.drop('main')
      await expect(open()).rejects.toThrow(KeyRingUnusable)
    })

    test('holds its secrets wrapped', async () => {
      for (const { wrapped } of await ringPlace.storage().load()) {
        expect(keyIdOf(wrapped)).toBe('data-key')
        expect(wrapped).toHaveLength(2 + 8 + 12 + 32 + 16)
        expect(Buffer.from(wrapped).includes(Buffer.from(dataKey))).toBe(false)
      }
    })
  })

  describe('in a race', () => {
    test('two that find it empty end with the same secret', async () => {
      await ringPlace.drop('main')
      await ringPlace.drop('journal-2026-11')
      const [first, second] = await Promise.all([open({ mayCreate: true }), open({ mayCreate: true })])
      expect(second.blindIndex(address)).toStrictEqual(first.blindIndex(address))
      expect((await open()).blindIndex(address)).toStrictEqual(first.blindIndex(address))
      expect(openText(second.main, place, sealText(first.main, place, address))).toBe(address)
    })

    test('two that begin a month end with the same secret', async () => {
      const [first, second] = [await open(), await open()]
      await Promise.all([first.journal.prepare(december), second.journal.prepare(december)])
      const [a, b] = [sealText(first.journal, logPlace, 'a'), sealText(second.journal, logPlace, 'b')]
      expect(openText(second.journal, logPlace, a)).toBe('a')
      expect(openText(first.journal, logPlace, b)).toBe('b')
      const reopened = await open()
      expect([a, b].map((envelope) => openText(reopened.journal, logPlace, envelope))).toEqual(['a', 'b'])
    })

    test('the first requests of a month all seal with the secret that is kept', async () => {
      const envelopes = await Promise.all(
        Array.from({ length: 10 }, async () => {
          await ring.journal.prepare(december)
          return sealText(ring.journal, logPlace, address)
        }),
      )
      const reopened = await open()
      for (const envelope of envelopes) expect(openText(reopened.journal, logPlace, envelope)).toBe(address)
    })

    test('entries added at the same moment are all kept', async () => {
      const months = Array.from({ length: 12 }, (_, month) => Date.UTC(2030, month, 1))
      const rings = await Promise.all(months.map(() => open()))
      await Promise.all(rings.map((each, index) => each.journal.prepare(months[index] ?? 0)))
      expect(await ringPlace.storage().load()).toHaveLength(2 + 12)
    })
  })
})

describe('a key ring in a file', () => {
  test('keeps what several processes add at once', async () => {
    const directory = newDirectory()
    const dataKey = new Uint8Array(randomBytes(32))
    const storage = (): RingStorage => new KeyRingFile(directory)
    await openKeyRing({ dataKey, storage: storage(), mayCreate: true })
    const writers = Array.from({ length: 3 }, () =>
      startChild(
        `import { KeyRingFile, openDataDirectory } from ${sourceModule('adapters/data-directory.ts')}
         import { openKeyRing } from ${sourceModule('adapters/key-ring.ts')}
         const [, path, key] = process.argv
         const ring = await openKeyRing({
           dataKey: new Uint8Array(Buffer.from(key, 'hex')),
           storage: new KeyRingFile(openDataDirectory(path)),
           mayCreate: false,
         })
         console.log('ready')
         process.stdin.once('data', async () => {
           const place = { table: 'query_log', column: 'address_sealed', row: 1 }
           for (let month = 0; month < 24; month += 1) {
             await ring.journal.prepare(Date.UTC(2030, month, 1))
             console.log(Buffer.from(ring.journal.seal(place, Uint8Array.of(month))).toString('hex'))
           }
           process.exit()
         })`,
        directory.path,
        Buffer.from(dataKey).toString('hex'),
      ),
    )
    expect(await Promise.all(writers.map((writer) => writer.line()))).toEqual(Array(3).fill('ready'))
    for (const writer of writers) writer.say('go')
    const envelopes = await Promise.all(
      writers.map(async (writer) => {
        const lines: string[] = []
        for (let month = 0; month < 24; month += 1) lines.push(await writer.line())
        await writer.ended()
        return lines
      }),
    )
    const ring = await openKeyRing({ dataKey, storage: storage(), mayCreate: false })
    const at = { table: 'query_log', column: 'address_sealed', row: 1 }
    for (const lines of envelopes) {
      const opened = lines.map((line) => ring.journal.open(at, Uint8Array.from(Buffer.from(line, 'hex')))[0])
      expect(opened).toEqual(Array.from({ length: 24 }, (_, month) => month))
    }
    expect(await storage().load()).toHaveLength(1 + 24)
  })

  test('is read again for a secret that is not known here', async () => {
    const storage = new KeyRingFile(newDirectory())
    const dataKey = new Uint8Array(randomBytes(32))
    let now = november
    const open = (mayCreate: boolean): Promise<KeyRing> =>
      openKeyRing({ dataKey, storage, mayCreate, clock: () => now })
    const [ring, asleep] = [await open(true), await open(false)]
    await ring.rotateMain()
    now += settleMilliseconds
    const mac = ring.mac('devices', address)
    expect(openText(asleep.main, place, sealText(ring.main, place, address))).toBe(address)
    expect((await open(false)).macFits('devices', address, mac)).toBe(true)
    // One that nobody has is still none.
    expect(asleep.macFits('devices', address, mac.with(1, 9))).toBe(false)
  })

  test.each(['{}', '{"version":2,"entries":[]}', '{"version":1,"entries":[{"id":"main"}]}'])(
    'that is something else is refused: %s',
    async (content) => {
      const directory = newDirectory()
      writeFileSync(directory.keyRingFile, content)
      const storage = new KeyRingFile(directory)
      await expect(storage.load()).rejects.toThrow(KeyRingUnusable)
      await expect(storage.add({ id: 'main', wrapped: Uint8Array.of(1), createdAt: 0 }, null)).rejects.toThrow(
        KeyRingUnusable,
      )
      expect(readFileSync(directory.keyRingFile, 'utf8')).toBe(content)
    },
  )

  test('that was cut off is refused', async () => {
    const directory = newDirectory()
    writeFileSync(directory.keyRingFile, '{"version":1,"entr')
    await expect(new KeyRingFile(directory).load()).rejects.toThrow(KeyRingUnusable)
  })
})

describe('the data directory', () => {
  const unset = { dataKey: null, dataKeyFile: null }
  const modeOf = (path: string): number => statSync(path).mode & 0o777

  test('keeps key and ring for its owner only', async () => {
    const directory = newDirectory()
    const dataKey = readDataKey(directory, unset)
    const ring = await openKeyRing({ dataKey, storage: new KeyRingFile(directory), mayCreate: true })
    await ring.journal.prepare(november)
    expect(modeOf(directory.path)).toBe(0o700)
    expect(modeOf(directory.dataKeyFile)).toBe(0o600)
    expect(modeOf(directory.keyRingFile)).toBe(0o600)
  })

  test('makes one data key and keeps it', () => {
    const directory = newDirectory()
    expect(holdsDatabase(directory)).toBe(false)
    const dataKey = readDataKey(directory, unset)
    expect(dataKey).toHaveLength(32)
    expect(readDataKey(directory, unset)).toStrictEqual(dataKey)
    expect(readDataKey(newDirectory(), unset)).not.toEqual(dataKey)
  })

  test('prefers the data key that is configured, and writes none', () => {
    const directory = newDirectory()
    const configured = new Uint8Array(32).fill(7)
    expect(readDataKey(directory, { ...unset, dataKey: configured })).toStrictEqual(configured)
    expect(existsSync(directory.dataKeyFile)).toBe(false)
  })

  test('reads the data key from the file that is configured, and writes none', () => {
    const directory = newDirectory()
    const dataKeyFile = join(newDirectory().path, 'credential')
    const key = new Uint8Array(randomBytes(32))
    writeFileSync(dataKeyFile, `${Buffer.from(key).toString('base64')}\n`)
    expect(readDataKey(directory, { ...unset, dataKeyFile })).toStrictEqual(key)
    expect(existsSync(directory.dataKeyFile)).toBe(false)
  })

  test.each([
    ['is not there', null],
    ['is empty', ''],
    ['is too short', Buffer.alloc(16).toString('base64')],
  ])('a file that is configured and %s is refused by name, and no key is made', (_, content) => {
    const directory = newDirectory()
    const dataKeyFile = join(newDirectory().path, 'credential')
    if (content !== null) writeFileSync(dataKeyFile, content)
    expect(() => readDataKey(directory, { ...unset, dataKeyFile })).toThrow(KeyRingUnusable)
    expect(() => readDataKey(directory, { ...unset, dataKeyFile })).toThrow(dataKeyFile)
    expect(existsSync(directory.dataKeyFile)).toBe(false)
  })

  test.each(['mainFile', 'journalFile'] as const)('makes no data key beside data: %s', (file) => {
    const directory = newDirectory()
    readDataKey(directory, unset)
    writeFileSync(directory[file], '')
    expect(holdsDatabase(directory)).toBe(true)
    expect(readDataKey(directory, unset)).toHaveLength(32)
    rmSync(directory.dataKeyFile)
    expect(() => readDataKey(directory, unset)).toThrow(KeyRingUnusable)
    expect(() => readDataKey(directory, unset)).toThrow(directory.dataKeyFile)
    expect(existsSync(directory.dataKeyFile)).toBe(false)
  })

  test('a folder that other users can enter is refused, and says what to run', () => {
    const { path } = newDirectory()
    for (const mode of [0o755, 0o750, 0o701]) {
      chmodSync(path, mode)
      expect(() => openDataDirectory(path)).toThrow(DataDirectoryOpen)
      expect(() => openDataDirectory(path)).toThrow(`chmod 700 ${path}`)
    }
    chmodSync(path, 0o700)
    expect(openDataDirectory(path).path).toBe(path)
  })

  test('a database, and what SQLite writes beside it, is for its owner only', () => {
    const { path } = newDirectory()
    const file = join(path, 'main.db')
    writeFileSync(file, '', { mode: 0o644 })
    const connection = openSqliteFile(file)
    connection.exec('CREATE TABLE things (id INTEGER)')
    expect(readdirSync(path).map((name) => statSync(join(path, name)).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
    connection.close()
  })

  describe('the lock', () => {
    test('is held by one, until it is released', () => {
      const directory = newDirectory()
      const lock = lockDataDirectory(directory)
      expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryLocked)
      expect(() => lockDataDirectory(directory)).toThrow(directory.path)
      lockDataDirectory(newDirectory()).release()
      lock.release()
      lockDataDirectory(directory).release()
    })

    test('keeps out other processes, and is free once its holder is killed', async () => {
      const directory = newDirectory()
      const holder = startChild(
        `import { lockDataDirectory, openDataDirectory } from ${sourceModule('adapters/data-directory.ts')}
         globalThis.lock = lockDataDirectory(openDataDirectory(process.argv[1]))
         console.log('locked')
         process.stdin.resume()`,
        directory.path,
      )
      expect(await holder.line()).toBe('locked')
      expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryLocked)
      await holder.kill()
      lockDataDirectory(directory).release()
    })

    test('that cannot be taken for another reason does not blame another process', () => {
      const directory = newDirectory()
      mkdirSync(join(directory.path, 'lock'))
      expect(() => lockDataDirectory(directory)).toThrow()
      expect(() => lockDataDirectory(directory)).not.toThrow(DataDirectoryLocked)
      const spoiled = newDirectory()
      writeFileSync(join(spoiled.path, 'lock'), 'this is not a lock, '.repeat(100))
      expect(() => lockDataDirectory(spoiled)).toThrow('not a database')
      expect(() => lockDataDirectory(spoiled)).not.toThrow(DataDirectoryLocked)
    })
  })
})
