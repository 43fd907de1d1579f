import { readdirSync, readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { brainpoolCrypto } from '../../src/adapters/brainpool.ts'
import { D1, type D1Binding } from '../../src/adapters/d1.ts'
import { JournalShards } from '../../src/adapters/journal-d1.ts'
import { JournalThread } from '../../src/adapters/journal-thread.ts'
import { readDestinations } from '../../src/adapters/destinations.ts'
import { openKeyRing, sha256, type KeyRing, type RingEntry, type RingStorage } from '../../src/adapters/key-ring.ts'
import { PrometheusMetrics } from '../../src/adapters/metrics.ts'
import { migrate } from '../../src/adapters/migrations.ts'
import { createOutgoingHttps } from '../../src/adapters/outgoing-https.ts'
import { ProcessBackground } from '../../src/adapters/background.ts'
import { openSqliteFile, Sqlite } from '../../src/adapters/sqlite.ts'
import type { Config } from '../../src/config.ts'
import { createEvents } from '../../src/events.ts'
import { proverHere } from '../../src/pki/private-keys/prove.ts'
import type { KeyProver } from '../../src/ports/key-prover.ts'
import type { Connection } from '../../src/ports/connection.ts'
import type { CheckpointKeeper } from '../../src/ports/checkpoints.ts'
import type { NoteSigner } from '../../src/pki/signed-note.ts'
import type { Database } from '../../src/ports/database.ts'
import type { Journal } from '../../src/ports/journal.ts'
import type { Keys, Sha256 } from '../../src/ports/keys.ts'
import type { CheckIns } from '../../src/ports/check-ins.ts'
import type { LookupLog } from '../../src/ports/lookup-log.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import type { Clock, Random } from '../../src/ports/runtime.ts'
import { createLogInTables } from '../../src/query-log/budgets/log-in-tables.ts'
import { createCheckInsInTables } from '../../src/reports/check-in.ts'
import type { OutgoingHttps } from '../../src/ports/outgoing-https.ts'
import type { DatabaseRole } from '../../src/ports/schema.ts'
import { createService, type Service } from '../../src/service.ts'
import { Api, type Ask } from './api.ts'
import { startLocalD1, type LocalD1 } from './local-d1.ts'
import { MailPool } from './mail.ts'
import { temporaryFolder, testConfig } from './node-process.ts'

const engine = z.enum(['sqlite', 'd1'])
export type Engine = z.infer<typeof engine>

/** The engines that this run is on: every room is tested on SQLite by `npm test`, and on D1 by `npm run test:d1`. */
export const engines: readonly Engine[] = z.array(engine).parse((process.env['TEST_ENGINES'] ?? 'sqlite').split(','))

/** The databases of one engine, migrated and empty. */
export interface Databases {
  readonly main: Database
  readonly journal: Journal
  readonly lookupLog: LookupLog
  readonly checkIns: CheckIns
  /** Ends what was opened. */
  close(): Promise<void>
}

const migrationsFolder = new URL('../../db/', import.meta.url)

/** The migration scripts of a role, in order. */
export const migrationScripts = (role: DatabaseRole): string[] => {
  const folder = new URL(`${role}/`, migrationsFolder)
  return readdirSync(folder)
    .toSorted()
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
}

/** Cuts a script into its statements; a trigger's body ends with a line `END;`. */
export const statementsOf = (script: string): string[] => {
  const statements: string[] = []
  let current: string[] = []
  let inTrigger = false
  for (const line of script.split('\n')) {
    if (/^\s*(--.*)?$/.test(line)) continue
    current.push(line)
    inTrigger ||= line.startsWith('CREATE TRIGGER')
    if (!line.trimEnd().endsWith(';') || (inTrigger && line.trim() !== 'END;')) continue
    statements.push(current.join('\n'))
    current = []
    inTrigger = false
  }
  return statements
}

const ledger = `CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`

/** Local D1s whose harness has closed. The next harness of this process has one, emptied. */
const leftD1s: LocalD1[] = []

const tableNames = z.object({ results: z.array(z.object({ name: z.string() })) })

async function dropsOf(binding: D1Binding): Promise<string[]> {
  const found = await binding
    .prepare(
      `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'`,
    )
    .all()
  const drops = tableNames.parse(found).results.map(({ name }) => `DROP TABLE ${name}`)
  return drops.length === 0 ? [] : ['PRAGMA defer_foreign_keys = on', ...drops]
}

/**
 * Brings a D1 database up to the code's schema as wrangler's migration command would. What another harness has left in it
 * goes.
 */
export async function migrateD1(role: DatabaseRole, binding: D1Binding): Promise<D1> {
  const folder = new URL(`${role}/`, migrationsFolder)
  const names = readdirSync(folder).toSorted()
  const statements = [...(await dropsOf(binding)), ledger, ...migrationScripts(role).flatMap(statementsOf)]
  await binding.batch([
    ...statements.map((statement) => binding.prepare(statement)),
    ...names.map((name) => binding.prepare('INSERT INTO d1_migrations (name) VALUES (?)').bind(name)),
  ])
  return new D1(binding)
}

const required = (local: LocalD1, name: string): D1Binding => {
  const binding = local.bindings[name]
  if (binding === undefined) throw new Error(`wrangler.toml has no binding ${name}`)
  return binding
}

interface DatabaseOptions {
  readonly keys: KeyRing
  readonly clock: Clock
}

const random: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) }

async function openD1({ keys, clock }: DatabaseOptions): Promise<Databases> {
  const local = leftD1s.pop() ?? (await startLocalD1())
  const shards = [
    await migrateD1('journal', required(local, 'DB_JOURNAL_0')),
    await migrateD1('journal', required(local, 'DB_JOURNAL_1')),
  ]
  const journal = new JournalShards(shards, sha256)
  return {
    main: await migrateD1('main', required(local, 'DB_MAIN')),
    journal,
    lookupLog: createLogInTables({ journal, keys, clock, random }),
    checkIns: createCheckInsInTables({ journal, keys, clock }),
    close: async () => void leftD1s.push(local),
  }
}

async function openSqlite(options: DatabaseOptions): Promise<Databases> {
  const folder = await temporaryFolder()
  const connection = openSqliteFile(`${folder.path}/main.db`)
  const journalFile = `${folder.path}/journal.db`
  const journalConnection = openSqliteFile(journalFile)
  await migrate('main', connection)
  await migrate('journal', journalConnection)
  journalConnection.close()
  const main = new Sqlite(connection)
  const journal = await JournalThread.start(journalFile, { ...options, warm: true })
  return {
    main,
    journal,
    lookupLog: journal,
    checkIns: journal,
    close: async () => {
      await journal.close()
      main.close()
      await folder.remove()
    },
  }
}

const openDatabases = (engine: Engine, options: DatabaseOptions): Promise<Databases> =>
  engine === 'd1' ? openD1(options) : openSqlite(options)

/** The storage of a key ring in memory. */
const memoryRing = (): RingStorage => {
  let entries: readonly RingEntry[] = []
  return {
    load: async () => entries,
    add: async (entry) => {
      if (!entries.some(({ id }) => id === entry.id)) entries = [...entries, entry]
    },
    replace: async (from, to) => {
      const isAsRead = from === entries
      if (isAsRead) entries = to
      return isAsRead
    },
  }
}

/** A key ring that lives in memory only. */
export const memoryKeyRing = (clock?: Clock): Promise<KeyRing> =>
  openKeyRing({
    dataKey: new Uint8Array(randomBytes(32)),
    mayCreate: true,
    storage: memoryRing(),
    ...(clock === undefined ? {} : { clock }),
  })

/** A service on one engine, asked without a socket, its time and its mail in the test's hands. */
export interface RoomHarness extends Databases {
  readonly service: Service
  readonly keys: KeyRing
  readonly api: Api
  /** Asks without a socket, for what is not JSON. */
  readonly ask: Ask
  readonly mails: MailPool
  readonly config: Config
  readonly clock: { now: number }
  readonly log: string[]
  /** Resolves when no background work is left. */
  settled(): Promise<void>
  /** Runs a job by its name, as the scheduler would. */
  runJob(name: string): Promise<void>
}

/** What a test may put something around. */
export interface WatchedParts {
  readonly main: Database
  readonly keys: Keys
  readonly sha256: Sha256
}

/** The time of a test stands still, so no network ever spends its share of a minute. */
const inTime = proverHere({ crypto, brainpool: brainpoolCrypto })
const untimedProver: KeyProver = {
  ...inTime,
  prove: async (keys) => ({ ...(await inTime.prove(keys)), milliseconds: 0 }),
}

export async function openRoomHarness(
  engine: Engine,
  options: {
    settings?: Readonly<Record<string, string>>
    mailer?: Mailer
    outgoing?: OutgoingHttps
    connection?: Partial<Connection>
    keyProver?: KeyProver
    noteSigner?: NoteSigner
    checkpointKeeper?: CheckpointKeeper
    /** How long who asks for a certificate is kept waiting for a slow CA. */
    patienceMilliseconds?: number
    /** Puts something around what the service works with, to watch it. */
    around?: (parts: WatchedParts) => WatchedParts
  } = {},
): Promise<RoomHarness> {
  const config = testConfig('unused', options.settings)
  const clock = { now: Date.parse('2026-11-21T12:00:00Z') }
  const log: string[] = []
  const metrics = new PrometheusMetrics()
  const events = createEvents(
    (line) => log.push(line),
    'debug',
    () => clock.now,
    metrics,
  )
  const background = new ProcessBackground(events)
  const keys = await memoryKeyRing(() => clock.now)
  const databases = await openDatabases(engine, { keys, clock: () => clock.now })
  const mails = new MailPool()
  const toPool: Mailer = { deliver: async ({ raw }) => mails.add(Buffer.from(raw).toString('utf8')) }
  const service = await createService(
    {
      ...(options.around ?? ((parts) => parts))({ main: databases.main, keys, sha256 }),
      journal: databases.journal,
      lookupLog: databases.lookupLog,
      checkIns: databases.checkIns,
      mailer: options.mailer ?? toPool,
      outgoing: options.outgoing ?? createOutgoingHttps(readDestinations(config.egressAllow)),
      crypto,
      brainpool: brainpoolCrypto,
      noteSigner: options.noteSigner ?? null,
      checkpointKeeper: options.checkpointKeeper ?? null,
      keyProver: options.keyProver ?? untimedProver,
      random,
      clock: () => clock.now,
      background,
      events,
      connectionOf: () => ({
        secure: true,
        tls: true,
        mayForward: false,
        pkiOnly: false,
        network: '127.0.0.0/24',
        address: '127.0.0.1',
        local: true,
        ...options.connection,
      }),
      otherDatabases: [],
      warnings: () => [],
      exposition: engine === 'sqlite' ? metrics : null,
      gauges: () => [],
    },
    config,
    options.patienceMilliseconds === undefined ? {} : { patienceMilliseconds: options.patienceMilliseconds },
  )
  const ask = async (path: string, init?: RequestInit): Promise<Response> => {
    const headers = new Headers(init?.headers)
    if (typeof init?.body === 'string') headers.set('Content-Length', String(Buffer.byteLength(init.body)))
    return service.fetch(new Request(`http://127.0.0.1${path}`, { ...init, headers }))
  }
  return {
    ...databases,
    service,
    keys,
    mails,
    config,
    clock,
    log,
    api: new Api(ask),
    ask,
    settled: () => background.settled(),
    runJob: async (name) => {
      const jobs = service.jobs.filter((job) => job.name === name)
      if (jobs.length === 0) throw new Error(`there is no job ${name}`)
      for (const job of jobs) await job.run()
    },
    close: async () => {
      await background.settled()
      await databases.close()
    },
  }
}
