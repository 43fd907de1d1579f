import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { KeyThreads } from '../../src/adapters/key-threads.ts'

let threads: KeyThreads | null = null
afterEach(() => threads?.close())

const pkcs8 = (): { form: string; bytes: Uint8Array; spki: Uint8Array } => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return { form: 'pkcs8', bytes: privateKey.export({ type: 'pkcs8', format: 'der' }), spki: new Uint8Array(spki) }
}

test('each key gets its own answer, however many come at once', async () => {
  threads = new KeyThreads()
  const proving = threads
  const keys = Array.from({ length: 12 }, pkcs8)
  const proved = await Promise.all(keys.map(({ form, bytes }) => proving.prove([{ form, bytes }])))
  expect(proved.map(({ spki }) => spki)).toEqual(keys.map(({ spki }) => spki))
})

test('what cannot be read is nothing, and the thread goes on', async () => {
  threads = new KeyThreads()
  const junk = await threads.prove([
    { form: 'pkcs8', bytes: new Uint8Array(40) },
    { form: 'no such form', bytes: new Uint8Array(1) },
  ])
  expect(junk.spki).toBeNull()
  const key = pkcs8()
  expect((await threads.prove([key])).spki).toEqual(key.spki)
})

test('keys that wait when the service stops are given up', async () => {
  const ending = new KeyThreads()
  const keys = Array.from({ length: 6 }, pkcs8)
  const proving = Promise.allSettled(keys.map((key) => ending.prove([key])))
  await ending.close()
  expect((await proving).some(({ status }) => status === 'rejected')).toBe(true)
})
