import { proverHere } from '../../src/pki/private-keys/prove.ts'
import { expect, test } from 'vitest'
import { getPlatformProxy } from 'wrangler'
import { D1, type D1Binding } from '../../src/adapters/d1.ts'
import { JournalShards } from '../../src/adapters/journal-d1.ts'
import { openKeyRing, sha256 } from '../../src/adapters/key-ring.ts'
import { KeyRingDatabase } from '../../src/adapters/key-ring-d1.ts'
import { createEvents } from '../../src/events.ts'
import { createLogInTables } from '../../src/query-log/budgets/log-in-tables.ts'
import { createCheckInsInTables } from '../../src/reports/check-in.ts'
import { createService } from '../../src/service.ts'
import { Api, askOver } from '../support/api.ts'
import { checkService } from '../support/check-service.ts'
import { startMailHook } from '../support/mail.ts'
import { temporaryFolder, testConfig } from '../support/node-process.ts'
import { startWorker, type WorkerProcess } from '../support/worker-process.ts'
import { travelRealRegistrations } from './real-registrations.ts'
import { travel, type Travelled } from './whole-story.ts'
import { fetchHere } from '../support/this-machine.ts'

/** Opens the Worker's databases from outside, once it has ended, and checks what it left. */
async function checkLeftBehind(worker: WorkerProcess, travelled: Travelled): Promise<void> {
  const proxy = await getPlatformProxy<Record<string, D1Binding>>({ persist: { path: worker.persistTo } })
  try {
    const database = (name: string): D1 => {
      const binding = proxy.env[name]
      if (binding === undefined) throw new Error(`no binding ${name}`)
      return new D1(binding)
    }
    const keysDatabase = database('DB_KEYS')
    const shards = [database('DB_JOURNAL_0'), database('DB_JOURNAL_1')]
    const keys = await openKeyRing({
      dataKey: worker.dataKey,
      storage: new KeyRingDatabase(keysDatabase),
      mayCreate: false,
    })
    const journal = new JournalShards(shards, sha256)
    const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) }
    const service = await createService(
      {
        main: database('DB_MAIN'),
        journal,
        lookupLog: createLogInTables({ journal, keys, clock: Date.now, random }),
        checkIns: createCheckInsInTables({ journal, keys, clock: Date.now }),
        keys,
        sha256,
        mailer: { deliver: () => Promise.reject(new Error('nothing is sent from here')) },
        outgoing: fetchHere(),
        crypto,
        brainpool: null,
        noteSigner: null,
        checkpointKeeper: null,
        keyProver: proverHere({ crypto, brainpool: null }),
        random,
        clock: Date.now,
        background: { run: () => undefined },
        events: createEvents(() => undefined, 'error', Date.now),
        connectionOf: () => ({
          secure: true,
          tls: true,
          mayForward: false,
          pkiOnly: false,
          network: '127.0.0.0/24',
          address: '127.0.0.1',
          local: true,
        }),
        otherDatabases: [{ role: 'keys', database: keysDatabase }],
        warnings: () => [],
        exposition: null,
        gauges: () => [],
      },
      testConfig('unused'),
    )
    await checkService({ service, shards, keys, ...travelled, dataDir: worker.persistTo })
  } finally {
    await proxy.dispose()
  }
}

test('the whole story and real registrations under wrangler dev with D1, mail by the hook, and its cron patterns', async () => {
  const folder = await temporaryFolder()
  const hook = await startMailHook()
  const worker = await startWorker(folder.path, hook.url)
  try {
    const api = new Api(askOver(worker.url))
    const journeys = [await travel(api, hook), await travelRealRegistrations(api, hook)]
    const travelled: Travelled = {
      answered: journeys.flatMap(({ answered }) => answered),
      addresses: journeys.flatMap(({ addresses }) => addresses),
    }
    expect(await worker.fireCron('* * * * *')).toBe(200)
    expect(await worker.fireCron('17 3 * * *')).toBe(200)
    expect(await worker.fireCron('5 5 5 5 5'), 'a pattern that no job carries').toBe(500)
    expect(worker.output()).toContain('no job carries the cron pattern')
    for (const address of travelled.addresses) expect(worker.output()).not.toContain(address)
    await worker.end()
    await checkLeftBehind(worker, travelled)
  } finally {
    await worker.end()
    await hook.close()
    await folder.remove()
  }
})

test('a fresh DATA_KEY beside the old one: the start wraps the ring, and from then on the old one opens nothing', async () => {
  const folder = await temporaryFolder()
  const workers: WorkerProcess[] = []
  const ready = async (replacing: Uint8Array | null): Promise<WorkerProcess> => {
    const worker = await startWorker(folder.path, 'http://127.0.0.1:9/no-mail', replacing)
    workers.push(worker)
    expect((await fetch(`${worker.url}/readyz`)).status).toBe(200)
    await worker.end()
    return worker
  }
  try {
    const first = await ready(null)
    const second = await ready(first.dataKey)
    const proxy = await getPlatformProxy<Record<string, D1Binding>>({ persist: { path: second.persistTo } })
    try {
      const storage = new KeyRingDatabase(new D1(proxy.env['DB_KEYS'] ?? expect.unreachable()))
      await openKeyRing({ dataKey: second.dataKey, storage, mayCreate: false })
      const withOld = openKeyRing({ dataKey: first.dataKey, storage, mayCreate: false })
      await expect(withOld).rejects.toThrow('DATA_KEY does not open the key ring')
    } finally {
      await proxy.dispose()
    }
  } finally {
    for (const worker of workers) await worker.end()
    await folder.remove()
  }
})
