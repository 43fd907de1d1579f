import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import {
  holdsDatabase,
  KeyRingFile,
  lockDataDirectory,
  openDataDirectory,
  readDataKey,
  type DataDirectory,
} from './adapters/data-directory.ts'
import { ProcessBackground } from './adapters/background.ts'
import { brainpoolCrypto } from './adapters/brainpool.ts'
import { JournalThread } from './adapters/journal-thread.ts'
import { openKeyRing, sha256, type KeyRing } from './adapters/key-ring.ts'
import { lineWriter } from './adapters/line-writer.ts'
import { MailFolder } from './adapters/mail-folder.ts'
import { MailHook } from './adapters/mail-hook.ts'
import { migrate } from './adapters/migrations.ts'
import { Scheduler } from './adapters/scheduler.ts'
import { Smtp } from './adapters/smtp.ts'
import { openSqliteFile, Sqlite } from './adapters/sqlite.ts'
import type { Connection } from './app.ts'
import { isLoopbackHost, type Config } from './config.ts'
import { createEvents, type Events } from './events.ts'
import { requireCurrentSchema } from './ports/schema.ts'
import type { Mailer } from './ports/mailer.ts'
import type { Clock } from './ports/runtime.ts'
import type { RecordLookup } from './query-log/record.ts'
import { createService, type Service } from './service.ts'

/** What tests and the bench may put in place of the process's own. */
export interface NodeOptions {
  readonly clock?: Clock
  readonly writeLog?: (line: string) => void
  readonly mailer?: Mailer
  /** Opens the files beside a service that holds the lock, for a command that ends soon. */
  readonly beside?: boolean
  /** The bench's measure of what the query log costs. */
  readonly recordLookup?: RecordLookup
}

/** The service over the files of one data directory, without a socket. */
export interface NodeService {
  readonly service: Service
  readonly events: Events
  readonly directory: DataDirectory
  readonly main: Sqlite
  readonly journal: JournalThread
  readonly keys: KeyRing
  /** Resolves when no background work is left. */
  settled(): Promise<void>
  /** Ends background work, then closes the files and frees the lock. */
  close(): Promise<void>
}

const outboxKeptMilliseconds = 24 * 3_600_000

const chooseMailer = (config: Config, folder: MailFolder): { mailer: Mailer; close: () => void } => {
  if (config.smtpUrl !== null) {
    const smtp = new Smtp(config.smtpUrl)
    return { mailer: smtp, close: () => smtp.close() }
  }
  const nothingToClose = (): void => undefined
  if (config.mailHookUrl !== null) {
    return { mailer: new MailHook(config.mailHookUrl, config.mailHookToken), close: nothingToClose }
  }
  return { mailer: folder, close: nothingToClose }
}

const shutdownMilliseconds = 10_000

/** Resolves with the work, or without it when it takes too long: a mail that was not sent is sent by the next start. */
async function withinDeadline(work: Promise<void>): Promise<void> {
  let deadline: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    deadline = setTimeout(resolve, shutdownMilliseconds)
  })
  await Promise.race([work, late])
  clearTimeout(deadline)
}

const plainAddress = (address: string): string => address.replace(/^::ffff:/, '')

/** A request is secure from this machine itself, or from a declared proxy that says it came by TLS. */
const connectionOf =
  (trustedProxies: readonly string[]) =>
  (context: Context<{ Bindings: HttpBindings }>): Connection => {
    const peer = plainAddress(context.env.incoming.socket.remoteAddress ?? '')
    const trusted = trustedProxies.includes(peer)
    const forwardedProtocol = context.req.header('X-Forwarded-Proto')
    if (trusted && forwardedProtocol !== undefined) return { secure: forwardedProtocol === 'https', mayForward: true }
    return { secure: isLoopbackHost(peer) || peer.startsWith('127.'), mayForward: trusted }
  }

const keyWarnings = (config: Config): string[] =>
  config.dataKey === null && !isLoopbackHost(config.host)
    ? ['DATA_KEY lies inside DATA_DIR: whoever copies the folder can read it. Set DATA_KEY from elsewhere.']
    : []

/**
 * Opens the data directory, making what is missing, and gathers the service over it. Throws `DataDirectoryLocked`,
 * `KeyRingUnusable`, `SchemaMismatch`.
 */
export async function openNodeService(config: Config, options: NodeOptions = {}): Promise<NodeService> {
  const clock = options.clock ?? Date.now
  const events = createEvents(options.writeLog ?? lineWriter(1), config.logLevel, clock)
  const directory = openDataDirectory(config.dataDir)
  const lock = options.beside === true ? { release: () => undefined } : lockDataDirectory(directory)
  try {
    const dataKey = readDataKey(directory, config.dataKey)
    const storage = new KeyRingFile(directory)
    const keys = await openKeyRing({ dataKey, storage, mayCreate: !holdsDatabase(directory) })
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
    const main = new Sqlite(mainConnection)
    const journal = await JournalThread.start(directory.journalFile)
    const background = new ProcessBackground(events)
    const folder = new MailFolder(directory.outbox)
    const { mailer, close: closeMailer } = chooseMailer(config, folder)
    const service = await createService(
      {
        main,
        journal,
        keys,
        sha256,
        mailer: options.mailer ?? mailer,
        crypto,
        brainpool: brainpoolCrypto,
        random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) },
        clock,
        background,
        events,
        connectionOf: connectionOf(config.trustedProxies),
        otherDatabases: [],
        warnings: keyWarnings(config),
      },
      config,
      options.recordLookup === undefined ? {} : { recordLookup: options.recordLookup },
    )
    const outboxJob = {
      name: 'outbox-empty',
      cron: '* * * * *' as const,
      run: () => folder.removeOlderThan(clock() - outboxKeptMilliseconds),
    }
    return {
      service: { ...service, jobs: [...service.jobs, outboxJob] },
      events,
      directory,
      main,
      journal,
      keys,
      settled: () => background.settled(),
      close: async () => {
        await withinDeadline(background.settled())
        closeMailer()
        await journal.close()
        main.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

/** A service that listens. */
export interface RunningServer {
  readonly url: string
  readonly node: NodeService
  /** Stops accepting, finishes what was accepted, then closes everything; ten seconds at most. */
  stop(reason: string): Promise<void>
}

/** How long a kept-alive connection may stay idle in a shutdown: a busy client's next request comes within it. */
const idleMilliseconds = 250

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => void

/** The answers that are under way on a server, so that a shutdown cuts none of them. */
class OpenAnswers {
  readonly #open = new Map<ServerResponse, Socket>()
  /** Connections of which the last answer is under way. */
  readonly #ending = new WeakSet<Socket>()
  #last = false

  handle(incoming: IncomingMessage, outgoing: ServerResponse, answer: Answer): void {
    const { socket } = incoming
    // What was pipelined behind a last answer must not be processed (RFC 9112, 9.6).
    if (this.#ending.has(socket)) return
    this.#open.set(outgoing, socket)
    outgoing.once('close', () => this.#open.delete(outgoing))
    if (this.#last) this.#end(outgoing, socket)
    answer(incoming, outgoing)
  }

  /** From now on the next answer of each connection is its last, and says so. */
  sayLast(): void {
    this.#last = true
    const newest = new Map(Array.from(this.#open, ([outgoing, socket]) => [socket, outgoing]))
    for (const [socket, outgoing] of newest) if (!outgoing.headersSent) this.#end(outgoing, socket)
  }

  /** Whether an answer is written but not yet handed to the system: to Node such a connection is idle. */
  unsent(): boolean {
    return Array.from(this.#open.keys()).some((outgoing) => outgoing.writableEnded && !outgoing.writableFinished)
  }

  #end(outgoing: ServerResponse, socket: Socket): void {
    outgoing.setHeader('Connection', 'close')
    this.#ending.add(socket)
  }
}

/**
 * Stops accepting and resolves when every connection has ended: the busy ones after an answer that says so, the idle
 * ones after a moment, all of them at the deadline.
 */
async function drain(server: Server, answers: OpenAnswers): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    // Not the close() of the HTTP server: that one closes idle connections at once, with what is being sent on them.
    NetServer.prototype.close.call(server, () => resolve())
  })
  answers.sayLast()
  const idleFrom = performance.now() + idleMilliseconds
  const idle = setInterval(() => {
    if (performance.now() >= idleFrom && !answers.unsent()) server.closeIdleConnections()
  }, 20)
  const deadline = setTimeout(() => server.closeAllConnections(), shutdownMilliseconds)
  await closed
  clearInterval(idle)
  clearTimeout(deadline)
}

const listen = (server: Server, config: Config): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = `port ${config.port} on ${config.host} is taken; set PORT to another one`
      reject(cause.code === 'EADDRINUSE' ? new Error(taken, { cause }) : cause)
    })
    server.listen(config.port, config.host, () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the server has no TCP address'))
      else resolve(address)
    })
  })

/** With PORT=0 the address is known only once the socket is bound; links and certificates need the real one. */
const withBoundPort = (config: Config, port: number): Config => {
  if (config.port !== 0) return config
  const bound = (url: string): string => url.replace(/:0$/, `:${port}`)
  return { ...config, port, publicUrl: bound(config.publicUrl), pkiUrl: bound(config.pkiUrl) }
}

/** Opens the service and serves it over HTTP. Rejects where the port is taken or the data cannot be used. */
export async function serveNode(config: Config, options: NodeOptions = {}): Promise<RunningServer> {
  const server = createServer({ requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 65_000 })
  const address = await listen(server, config)
  const bound = withBoundPort(config, address.port)
  let node: NodeService
  try {
    node = await openNodeService(bound, options)
  } catch (error) {
    server.close()
    throw error
  }
  const { service, events } = node
  const answer = getRequestListener((request, env) => service.fetch(request, env))
  const answers = new OpenAnswers()
  server.on('request', (incoming, outgoing) =>
    answers.handle(incoming, outgoing, (request, response) => void answer(request, response)),
  )
  const scheduler = new Scheduler(service.jobs, events)
  events.started({ url: bound.publicUrl, runtime: `node ${process.versions.node}` })
  let stopping: Promise<void> | null = null
  const stop = async (reason: string): Promise<void> => {
    events.stopping({ reason })
    await drain(server, answers)
    await withinDeadline(scheduler.stop())
    await node.close()
    events.stopped()
  }
  return {
    url: `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    node,
    stop: (reason) => (stopping ??= stop(reason)),
  }
}
