import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  KeyRingFile,
  openDataDirectory,
  openKeyRingIn,
  readDataKey,
  type DataDirectory,
} from '../../src/adapters/data-directory.ts'
import { openKeyRing } from '../../src/adapters/key-ring.ts'
import { openText, sealText } from '../../src/ports/keys.ts'
import { sourceModule } from '../contract/child.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { runProgram } from '../support/processes.ts'

const inFolder = { dataKey: null, dataKeyFile: null }
const place = { table: 'mailboxes', column: 'address_sealed', row: 'row-1' }

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

/** Replaces the data key in a process that is killed before its call number `at` to the file system. */
const rotateUntil = (directory: DataDirectory, keyFile: string, at: number) =>
  runProgram(process.execPath, [
    '--input-type=module',
    '--eval',
    `import fs from 'node:fs'
     import { syncBuiltinESMExports } from 'node:module'
     const [, path, keyFile, at] = process.argv
     let calls = 0
     for (const name of ['openSync', 'writeFileSync', 'fsyncSync', 'closeSync', 'renameSync']) {
       const original = fs[name]
       fs[name] = (...given) => {
         if (given[0]?.includes?.('/node_modules/') || !counting) return original(...given)
         calls += 1
         if (calls === Number(at)) process.kill(process.pid, 'SIGKILL')
         return original(...given)
       }
     }
     let counting = false
     syncBuiltinESMExports()
     const { dataKeyIn, openDataDirectory, replaceDataKey } = await import(${sourceModule('adapters/data-directory.ts')})
     const dataKey = dataKeyIn(fs.readFileSync(keyFile, 'utf8'))
     const directory = openDataDirectory(path)
     counting = true
     await replaceDataKey(directory, { dataKey: null, dataKeyFile: null }, dataKey)
     console.log('done after ' + calls)`,
    directory.path,
    keyFile,
    String(at),
  ])

test('SIGKILL before every write of a rotation of the data key: the folder opens, and a second try ends it', async () => {
  const keyFile = join(folder.path, 'new-key')
  const newKey = new Uint8Array(randomBytes(32))
  writeFileSync(keyFile, Buffer.from(newKey).toString('base64'))
  const outcomes: string[] = []
  for (let at = 1; outcomes.at(-1) !== 'done'; at += 1) {
    const directory = openDataDirectory(join(folder.path, `data-${at}`))
    const oldKey = readDataKey(directory, inFolder)
    const sealed = sealText((await openKeyRingIn(directory, inFolder, { mayCreate: true })).main, place, 'alice')
    writeFileSync(directory.mainFile, '')
    const { code, stdout } = await rotateUntil(directory, keyFile, at)
    expect([null, 0]).toContain(code)

    const opens = (dataKey: Uint8Array): Promise<boolean> =>
      openKeyRing({ dataKey, storage: new KeyRingFile(directory), mayCreate: false }).then(
        () => true,
        () => false,
      )
    const [byOld, byNew] = [await opens(oldKey), await opens(newKey)]
    expect([at, byOld !== byNew]).toEqual([at, true])
    outcomes.push(stdout.startsWith('done') ? 'done' : byNew ? 'new' : 'old')
    const ring = await openKeyRingIn(directory, inFolder, { mayCreate: false })
    expect([at, openText(ring.main, place, sealed)]).toEqual([at, 'alice'])

    expect((await rotateUntil(directory, keyFile, 0)).code).toBe(0)
    expect(await opens(oldKey)).toBe(false)
    expect(readFileSync(directory.dataKeyFile, 'utf8').trim()).toBe(Buffer.from(newKey).toString('base64'))
  }
  // The drill has met both sides of the one write that counts.
  expect(new Set(outcomes)).toEqual(new Set(['old', 'new', 'done']))
})
