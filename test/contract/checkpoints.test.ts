import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointFolder, CheckpointFolderUnusable } from '../../src/adapters/checkpoint-folder.ts'
import { notesOf } from '../../src/pki/checkpoint.ts'
import { temporaryFolder } from '../support/node-process.ts'

const november = Date.parse('2026-11-29T03:17:00Z')
const december = Date.parse('2026-12-01T03:17:00Z')

describe('the folder of checkpoints', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let dataDir: string
  let path: string

  beforeEach(async () => {
    folder = await temporaryFolder()
    dataDir = join(folder.path, 'data')
    path = join(folder.path, 'checkpoints')
    mkdirSync(dataDir)
    mkdirSync(path)
  })
  afterEach(() => folder.remove())

  test('one file a month, which only grows, for its owner only', async () => {
    const keeper = new CheckpointFolder(path, dataDir)
    expect(await keeper.newest()).toBe('')
    await keeper.keep('one\n', november)
    await keeper.keep('two\n', november)
    expect(await keeper.newest()).toBe('one\n\ntwo\n')
    await keeper.keep('three\n', december)
    expect(await keeper.newest()).toBe('three\n')
    expect(readdirSync(path).toSorted()).toEqual(['checkpoints-2026-11.txt', 'checkpoints-2026-12.txt'])
    expect(readFileSync(join(path, 'checkpoints-2026-11.txt'), 'utf8')).toBe('one\n\ntwo\n')
    expect(statSync(join(path, 'checkpoints-2026-11.txt')).mode & 0o777).toBe(0o600)
  })

  test('what a loss of power has cut stays apart from the next one', async () => {
    writeFileSync(join(path, 'checkpoints-2026-11.txt'), 'one\n\ntw')
    const keeper = new CheckpointFolder(path, dataDir)
    await keeper.keep('three\n', november)
    expect(notesOf(await keeper.newest())).toEqual(['one\n', 'tw\n', 'three\n'])
  })

  test.each([
    ['is not there', (): string => join(folder.path, 'none'), /there is no folder/],
    ['is a file', (): string => join(folder.path, 'file'), /there is no folder/],
    ['is DATA_DIR', (): string => dataDir, /lies inside DATA_DIR/],
    ['lies inside', (): string => join(dataDir, 'checkpoints'), /lies inside DATA_DIR/],
    ['leads inside', (): string => join(folder.path, 'link'), /lies inside DATA_DIR/],
  ])('a folder that %s is refused', (_, named, message) => {
    mkdirSync(join(dataDir, 'checkpoints'))
    writeFileSync(join(folder.path, 'file'), '')
    symlinkSync(join(dataDir, 'checkpoints'), join(folder.path, 'link'))
    const open = (): CheckpointFolder => new CheckpointFolder(named(), dataDir)
    expect(open).toThrow(CheckpointFolderUnusable)
    expect(open).toThrow(message)
  })

  test('a folder beside DATA_DIR, or around it, can be used', () => {
    mkdirSync(`${dataDir}-checkpoints`)
    for (const named of [`${dataDir}-checkpoints`, folder.path]) {
      expect(new CheckpointFolder(named, dataDir)).toBeInstanceOf(CheckpointFolder)
    }
  })
})
