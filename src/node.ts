import type { Context } from 'hono'
import { CheckpointFolder } from './adapters/checkpoint-folder.ts'
import {
  findNoteKey,
  finishDataKey,
  holdsDatabase,
  keepNoteKey,
  lockDataDirectory,
  openDataDirectory,
  openKeyRingIn,
  type DataDirectory,
} from './adapters/data-directory.ts'
import { ProcessBackground } from './adapters/background.ts'
import { isHalfRestored, settleRestore } from './adapters/backup-swap.ts'
import { brainpoolCrypto } from './adapters/brainpool.ts'
import { chooseMailer } from './adapters/choose-mailer.ts'
import { readDestinations } from './adapters/destinations.ts'
import { withinDeadline } from './adapters/deadline.ts'
import { AddressRanges, connectionOf, networkBehind } from './adapters/declared-proxies.ts'
import { defaultLimits, type ListenerBindings, type ListenerLimits } from './adapters/http-listener.ts'
import { JournalThread } from './adapters/journal-thread.ts'
import { sha256, type KeyRing } from './adapters/key-ring.ts'
import { KeyThreads } from './adapters/key-threads.ts'
import { lineWriter } from './adapters/line-writer.ts'
import { Listeners } from './adapters/listeners.ts'
import { MailFolder } from './adapters/mail-folder.ts'
import { databaseSizes, PrometheusMetrics } from './adapters/metrics.ts'
import { migrate } from './adapters/migrations.ts'
import { createOutgoingHttps } from './adapters/outgoing-https.ts'
import { Scheduler } from './adapters/scheduler.ts'
import { openSqliteFile, Sqlite, type SqliteConnection } from './adapters/sqlite.ts'
import { certificateWarnings, TlsCertificateFiles } from './adapters/tls-certificate.ts'
import { defaultTurnLimits } from './adapters/turns.ts'
import { configWarnings, type Config } from './config.ts'
import { createEvents, type Events } from './events.ts'
import type { Connection } from './ports/connection.ts'
import { singleGauge, type Gauge } from './ports/meter.ts'
import { requireCurrentSchema } from './ports/schema.ts'
import type { Mailer } from './ports/mailer.ts'
import type { OutgoingHttps } from './ports/outgoing-https.ts'
import type { Background, Clock } from './ports/runtime.ts'
import { makeNoteKey, openNoteKey, writeVerifierKey, type NoteSigner } from './pki/signed-note.ts'
import { problemResponse } from './problem.ts'
import { createService, type Service } from './service.ts'
import { dayMilliseconds } from './ports/time.ts'

/** What tests and the bench replace. */
export interface NodeOptions {
  readonly clock?: Clock
  readonly writeLog?: (line: string) => void
  readonly mailer?: Mailer
  readonly outgoing?: OutgoingHttps
  /** Opens the files beside a running service that holds the lock. For short commands. */
  readonly beside?: boolean
  /**
   * Sends nothing to others and leaves that to the service. A command may lack the mail settings, and would end before
   * a CA has answered.
   */
  readonly leaveOutgoing?: boolean
  /** The bench stocks a directory through a database that commits many batches at once. */
  readonly openMain?: (connection: SqliteConnection) => Sqlite
  readonly limits?: Partial<ListenerLimits>
  /** How often the TLS files are checked for changes. */
  readonly tlsLookMilliseconds?: number
  /** Warnings of the listeners. */
  readonly warnings?: () => readonly string[]
  /** Figures of the listeners. */
  readonly gauges?: readonly Gauge[]
}

/** The service over the files of one data directory. It does not listen. */
export interface NodeService {
  readonly service: Service
  readonly events: Events
  readonly directory: DataDirectory
  readonly main: Sqlite
  readonly journal: JournalThread
  readonly keys: KeyRing
  readonly metrics: PrometheusMetrics
  /** The verifier key of a note key that was made just now. Null if there was one. */
  readonly newVerifierKey: string | null
  /** Resolves when all background work has ended. */
  settled(): Promise<void>
  /** Stops background work, closes the files and frees the lock. */
  close(): Promise<void>
}

const outboxKeptMilliseconds = dayMilliseconds

const shutdownMilliseconds = 10_000
const tlsLookMilliseconds = 5_000

const reachedThrough = (trustedProxies: readonly string[]) => {
  const proxies = new AddressRanges(trustedProxies)
  return (context: Context<{ Bindings: ListenerBindings }>): Connection =>
    connectionOf({ ...context.env, header: (name) => context.req.header(name) }, proxies)
}

const outgoingWork: ReadonlySet<string> = new Set(['mail-send', 'requests-send', 'ca-revocations'])
const leavingOutgoing = (background: Background): Background => ({
  run: (name, task) => {
    if (!outgoingWork.has(name)) background.run(name, task)
  },
})

/** The configured note key, or the one in the folder. If there is none, a service that serves makes one there. */
async function openNoteSigner(
  directory: DataDirectory,
  config: Config,
  serves: boolean,
): Promise<{ signer: NoteSigner | null; isNew: boolean }> {
  const present = config.auditNoteKey ?? findNoteKey(directory)
  if (present !== null) return { signer: await openNoteKey(crypto, present), isNew: false }
  if (!serves) return { signer: null, isNew: false }
  const made = await makeNoteKey(crypto, `${new URL(config.publicUrl).host}/audit-log`)
  keepNoteKey(directory, made)
  return { signer: await openNoteKey(crypto, made), isNew: true }
}

const dataKeyReplaced =
  'The data key was replaced, and the new one is not where this service read the old one: put it there (DATA_KEY_FILE), ' +
  'or start the service again with it, before the month ends. Until then all goes on.'

const restoreInterrupted =
  'a restore was interrupted while it put its files in place; "certbook serve" finishes it when it starts'

/**
 * Opens the data directory, makes what is missing, and builds the service over it. Throws `DataDirectoryLocked`,
 * `KeyRingUnusable`, `SchemaMismatch`.
 */
export async function openNodeService(config: Config, options: NodeOptions = {}): Promise<NodeService> {
  const clock = options.clock ?? Date.now
  const metrics = new PrometheusMetrics()
  const events = createEvents(options.writeLog ?? lineWriter(1), config.logLevel, clock, metrics)
  const directory = openDataDirectory(config.dataDir)
  const serves = options.beside !== true && options.leaveOutgoing !== true
  const checkpointKeeper =
    serves && config.auditCheckpoints !== null ? new CheckpointFolder(config.auditCheckpoints, directory.path) : null
  const lock = options.beside === true ? { release: () => undefined } : lockDataDirectory(directory)
  // What to close, in reverse order. The journal's thread keeps the process alive until it is closed.
  const closing: (() => Promise<void> | void)[] = [() => lock.release()]
  const closeAll = async (): Promise<void> => {
    for (const close of closing) await close()
  }
  try {
    if (options.beside !== true) settleRestore(directory)
    else if (isHalfRestored(directory)) throw new Error(restoreInterrupted)
    const keys = await openKeyRingIn(directory, config, { mayCreate: !holdsDatabase(directory), clock })
    if (options.beside !== true) await finishDataKey(directory, keys)
    const { signer: noteSigner, isNew: isNewSigner } = await openNoteSigner(directory, config, serves)
    const newVerifierKey = isNewSigner && noteSigner !== null ? writeVerifierKey(noteSigner.verifier) : null
    if (newVerifierKey !== null) events.auditNoteKeyMade({ verifierKey: newVerifierKey })
    const mainConnection = openSqliteFile(directory.mainFile)
    const journalConnection = openSqliteFile(directory.journalFile)
    for (const [role, connection] of [['main', mainConnection] as const, ['journal', journalConnection] as const]) {
      if (options.beside === true) {
        await requireCurrentSchema(role, new Sqlite(connection))
        continue
      }
      const migrations = await migrate(role, connection)
      if (migrations.length > 0) events.databaseMigrated({ database: role, migrations })
    }
    journalConnection.close()
    const main = options.openMain?.(mainConnection) ?? new Sqlite(mainConnection)
    closing.unshift(() => main.close())
    const journal = await JournalThread.start(directory.journalFile, { keys, clock, warm: options.beside !== true })
    closing.unshift(() => journal.close())
    const background = new ProcessBackground(events)
    const folder = new MailFolder(directory.outbox)
    const { mailer, close: closeMailer } = chooseMailer(config, folder)
    closing.unshift(closeMailer)
    const keyProver = new KeyThreads()
    closing.unshift(() => keyProver.close())
    const service = await createService(
      {
        main,
        journal,
        lookupLog: journal,
        checkIns: journal,
        keys,
        sha256,
        mailer: options.mailer ?? mailer,
        outgoing: options.outgoing ?? createOutgoingHttps(readDestinations(config.egressAllow)),
        crypto,
        brainpool: brainpoolCrypto,
        keyProver,
        noteSigner,
        checkpointKeeper,
        random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) },
        clock,
        background: options.leaveOutgoing === true ? leavingOutgoing(background) : background,
        events,
        connectionOf: reachedThrough(config.trustedProxies),
        otherDatabases: [],
        warnings: () => [
          ...configWarnings(config),
          ...(keys.isOutdated ? [dataKeyReplaced] : []),
          ...(options.warnings?.() ?? []),
        ],
        exposition: metrics,
        gauges: () => [
          databaseSizes({ main: directory.mainFile, journal: directory.journalFile }),
          ...(options.gauges ?? []),
        ],
      },
      config,
    )
    const outboxJob = {
      name: 'outbox-empty',
      cron: '* * * * *' as const,
      run: () => folder.removeOlderThan(clock() - outboxKeptMilliseconds),
    }
    const ringJob = { name: 'key-ring-read', cron: '* * * * *' as const, run: () => keys.refresh() }
    return {
      service: { ...service, jobs: [...service.jobs, outboxJob, ringJob] },
      events,
      directory,
      main,
      journal,
      keys,
      metrics,
      newVerifierKey,
      settled: () => background.settled(),
      close: async () => {
        await withinDeadline(background.settled(), shutdownMilliseconds)
        await closeAll()
      },
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}

export interface RunningServer {
  readonly url: string
  /** The address for clients. It may be that of a proxy. */
  readonly publicUrl: string
  /** The address of PKI_PORT. Null if it is not set. */
  readonly pkiUrl: string | null
  readonly node: NodeService
  /** Stops accepting, finishes accepted requests, then closes everything. Takes at most ten seconds. */
  stop(reason: string): Promise<void>
}

/**
 * The configuration with the real ports. Port 0 means any free port, known only after listening; links and certificates
 * need the real one.
 */
const withBoundPorts = (config: Config, port: number, pkiPort: number | null): Config => {
  const bind = (url: string, to: number): string => url.replace(/:0$/, `:${to}`)
  return {
    ...config,
    port,
    pkiPort,
    publicUrl: bind(config.publicUrl, port),
    pkiUrl: bind(config.pkiUrl, pkiPort ?? port),
  }
}

/** Opens the service and listens. Rejects if a port is taken, or if data or TLS files cannot be used. */
export async function serveNode(config: Config, options: NodeOptions = {}): Promise<RunningServer> {
  const certificate = config.tls === null ? null : await TlsCertificateFiles.open(config.tls)
  const proxies = new AddressRanges(config.trustedProxies)
  const listeners = await Listeners.open({
    host: config.host,
    port: config.port,
    pkiPort: config.pkiPort,
    hostname: new URL(config.pkiUrl).host,
    certificate,
    limits: {
      ...defaultLimits,
      connectionsPerAddress: config.connections.perAddress,
      connectionsPerNetwork: config.connections.perNetwork,
      ...options.limits,
    },
    isProxy: (peer) => proxies.includes(peer),
    networkBehind: (peer, header) => networkBehind(peer, header, proxies),
    turnLimits: defaultTurnLimits,
    problemOf: problemResponse,
  })
  const bound = withBoundPorts(config, listeners.service.port, listeners.pki?.port ?? null)
  const { hostname } = new URL(bound.publicUrl)
  const now = options.clock ?? Date.now
  const warnings = (): string[] =>
    certificate === null ? [] : certificateWarnings(certificate.identity.certificate, hostname, now())
  const tlsDays = async (): Promise<number | null> =>
    certificate === null ? null : (certificate.identity.certificate.validToDate.getTime() - now()) / dayMilliseconds
  const gauges = [
    singleGauge('certbook_tls_expiry_days', "days until the service's own TLS certificate expires", tlsDays),
  ]
  let node: NodeService
  try {
    node = await openNodeService(bound, { ...options, warnings, gauges })
    await node.service.resume()
    node.metrics.watchProcess()
  } catch (error) {
    await listeners.abandon()
    throw error
  }
  const { service, events } = node
  listeners.answerWith(service.fetch, service.workOf)
  const stopWatching = listeners.watchCertificate(events, options.tlsLookMilliseconds ?? tlsLookMilliseconds)
  const cutJob = {
    name: 'clients-cut',
    cron: '* * * * *' as const,
    run: async () => listeners.sayWhoWasCut(events),
  }
  const scheduler = new Scheduler([...service.jobs, cutJob], events)
  const runtime = `node ${process.versions.node}`
  events.started({ url: bound.publicUrl, runtime, listening: listeners.urls })
  const { namedPkiUrl } = service
  if (namedPkiUrl !== bound.pkiUrl) events.pkiUrlChanged({ from: namedPkiUrl, to: bound.pkiUrl })
  let stopping: Promise<void> | null = null
  const stop = async (reason: string): Promise<void> => {
    events.stopping({ reason })
    await stopWatching()
    await listeners.drain(shutdownMilliseconds)
    await withinDeadline(scheduler.stop(), shutdownMilliseconds)
    await node.close()
    events.stopped()
  }
  return {
    url: listeners.service.url,
    publicUrl: bound.publicUrl,
    pkiUrl: listeners.pki?.url ?? null,
    node,
    stop: (reason) => (stopping ??= stop(reason)),
  }
}
