import { proverHere } from './pki/private-keys/prove.ts'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context } from 'hono'
import { D1, type D1Binding } from './adapters/d1.ts'
import { readDestinations } from './adapters/destinations.ts'
import { JournalShards } from './adapters/journal-d1.ts'
import { openKeyRing, sha256, type KeyRing } from './adapters/key-ring.ts'
import { KeyRingDatabase } from './adapters/key-ring-d1.ts'
import { MailHook } from './adapters/mail-hook.ts'
import { createOutgoingFetch } from './adapters/outgoing-fetch.ts'
import { readConfig, type Config } from './config.ts'
import { createEvents, type Events } from './events.ts'
import { readAuthorities } from './cas/inside/store.ts'
import type { Connection } from './ports/connection.ts'
import type { Database } from './ports/database.ts'
import type { Background } from './ports/runtime.ts'
import { isLoopbackHost, truncatedNetwork } from './ports/network.ts'
import { openNoteKey } from './pki/signed-note.ts'
import { problemResponse } from './problem.ts'
import { requireCurrentSchema } from './ports/schema.ts'
import { createLogInTables } from './query-log/budgets/log-in-tables.ts'
import { createCheckInsInTables } from './reports/check-in.ts'
import { createService, type Service } from './service.ts'

/** The entry of the Worker: the same rooms over D1. An isolate opens the service with its first request. */

/** The context of a call. `waitUntil` lets work go on after the answer. */
interface ExecutionContext {
  waitUntil(promise: Promise<unknown>): void
}

interface ScheduledEvent {
  readonly cron: string
}

type Environment = Readonly<Record<string, unknown>>

const isD1 = (value: unknown): value is D1Binding =>
  typeof value === 'object' && value !== null && 'prepare' in value && 'batch' in value

const d1 = (environment: Environment, name: string): Database => {
  const binding = environment[name]
  if (!isD1(binding)) throw new Error(`the D1 binding ${name} is missing from wrangler.toml`)
  return new D1(binding)
}

const journalShards = (environment: Environment): Database[] => {
  const shards: Database[] = []
  while (environment[`DB_JOURNAL_${shards.length}`] !== undefined) {
    shards.push(d1(environment, `DB_JOURNAL_${shards.length}`))
  }
  return shards
}

const variables = (environment: Environment): Record<string, string> => {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment)) if (typeof value === 'string') texts[name] = value
  return texts
}

/** The call in whose time background work runs. */
const execution = new AsyncLocalStorage<ExecutionContext>()

class WorkerBackground implements Background {
  readonly #events: Events

  constructor(events: Events) {
    this.#events = events
  }

  run(name: string, task: () => Promise<void>): void {
    const run = task().catch((error: unknown) => this.#events.jobFailed({ job: name, error }))
    execution.getStore()?.waitUntil(run)
  }
}

/**
 * How a client came. The scheme of the URL says it, and forwarding headers are ignored. The app answers plain HTTP
 * only on a loopback host in development, and under the host of PKI_URL.
 */
const connectionOf =
  (config: Config) =>
  (context: Context): Connection => {
    const url = new URL(context.req.url)
    const address = context.req.header('CF-Connecting-IP') ?? ''
    const development = config.allowLoopbackHttp && isLoopbackHost(url.hostname)
    return {
      secure: url.protocol === 'https:' || development,
      tls: url.protocol === 'https:',
      pkiOnly: false,
      mayForward: true,
      network: truncatedNetwork(address),
      address,
      local: development,
    }
  }

interface Opened {
  readonly service: Service
  readonly events: Events
  readonly keys: KeyRing
}

async function open(environment: Environment): Promise<Opened> {
  const config = readConfig(variables(environment), 'workers')
  const clock = Date.now
  const events = createEvents((line) => console.log(line), config.logLevel, clock)
  const main = d1(environment, 'DB_MAIN')
  const keysDatabase = d1(environment, 'DB_KEYS')
  const shards = journalShards(environment)
  await requireCurrentSchema('main', main)
  await requireCurrentSchema('keys', keysDatabase)
  for (const shard of shards) await requireCurrentSchema('journal', shard)
  if (config.dataKey === null || config.mailHookUrl === null) throw new Error('DATA_KEY and MAIL_HOOK_URL must be set')
  const keys = await openKeyRing({
    dataKey: config.dataKey,
    clock,
    otherKeys: () => (config.dataKeyPrevious === null ? [] : [config.dataKeyPrevious]),
    storage: new KeyRingDatabase(keysDatabase),
    // Without a CA, the database has never served anybody, so nothing in it is sealed yet.
    mayCreate: (await readAuthorities(main)).length === 0,
  })
  if (config.dataKeyPrevious !== null) await keys.wrapWith(config.dataKey)
  const journal = new JournalShards(shards, sha256)
  const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) }
  const service = await createService(
    {
      main,
      journal,
      lookupLog: createLogInTables({ journal, keys, clock, random }),
      checkIns: createCheckInsInTables({ journal, keys, clock }),
      keys,
      sha256,
      mailer: new MailHook(
        createOutgoingFetch(readDestinations(config.mailHookAllow)),
        config.mailHookUrl,
        config.mailHookToken,
      ),
      outgoing: createOutgoingFetch(readDestinations(config.egressAllow)),
      crypto,
      brainpool: null,
      noteSigner: config.auditNoteKey === null ? null : await openNoteKey(crypto, config.auditNoteKey),
      checkpointKeeper: null,
      keyProver: proverHere({ crypto, brainpool: null }),
      random,
      clock,
      background: new WorkerBackground(events),
      events,
      connectionOf: connectionOf(config),
      otherDatabases: [{ role: 'keys', database: keysDatabase }],
      warnings: () => [],
      exposition: null,
      gauges: () => [],
    },
    config,
  )
  events.started({ url: config.publicUrl, runtime: 'workers', listening: [] })
  const { namedPkiUrl } = service
  if (namedPkiUrl !== config.pkiUrl) events.pkiUrlChanged({ from: namedPkiUrl, to: config.pkiUrl })
  return { service, events, keys }
}

let opened: Opened | null = null

/** What is known of the ring goes on working where it cannot be read again. */
const readRingAgain = ({ keys, events }: Opened): Promise<void> =>
  keys.refresh().catch((error: unknown) => events.jobFailed({ job: 'key-ring-read', error }))

/**
 * Opens one service for each isolate, and keeps it once it is open. The promise of opening is not kept: it belongs to
 * one request, and never settles if that request is cancelled. Two requests may both open the service; that does no
 * harm.
 */
const openOnce = async (environment: Environment): Promise<Opened> => {
  if (opened !== null) {
    await readRingAgain(opened)
    return opened
  }
  const fresh = await open(environment)
  opened ??= fresh
  return opened
}

const unavailable = (error: unknown): Response => {
  console.error(error instanceof Error ? (error.stack ?? error.message) : 'the service did not start')
  return problemResponse(error, '/')
}

export default {
  async fetch(request: Request, environment: Environment, context: ExecutionContext): Promise<Response> {
    try {
      const { service } = await openOnce(environment)
      return await execution.run(context, () => service.fetch(request, environment))
    } catch (error) {
      return unavailable(error)
    }
  },

  /** Runs the jobs of one cron pattern. Fails if no job has that pattern, or if a job fails. */
  async scheduled(event: ScheduledEvent, environment: Environment, context: ExecutionContext): Promise<void> {
    const { service, events } = await openOnce(environment)
    const jobs = service.jobs.filter((job) => job.cron === event.cron)
    if (jobs.length === 0) {
      const error = new Error(`no job carries the cron pattern "${event.cron}": see [triggers] in wrangler.toml`)
      events.jobFailed({ job: 'scheduled', error })
      throw error
    }
    await execution.run(context, async () => {
      const failures: unknown[] = []
      for (const job of jobs) {
        try {
          await job.run()
        } catch (error) {
          events.jobFailed({ job: job.name, error })
          failures.push(error)
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, 'scheduled jobs failed')
    })
  },
}
