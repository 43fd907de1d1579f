import { generateKeyPairSync, sign } from 'node:crypto'
import { z } from 'zod'
import { Sqlite, SqliteBatchRunner, type SqliteConnection } from '../src/adapters/sqlite.ts'
import { mailContent } from '../src/mail/content.ts'
import { finishMail, readDueMail } from '../src/mail/store.ts'
import { openNodeService, type NodeService } from '../src/node.ts'
import { encodeElement, encodeObjectIdentifier, encodeOctetsAsBitString, tag } from '../src/pki/der.ts'
import { toBase64 } from '../src/pki/encoding.ts'
import type { Command, Outcome } from '../src/ports/database.ts'
import { openText } from '../src/ports/keys.ts'
import type { Clock } from '../src/ports/runtime.ts'
import { testConfig } from '../test/support/node-process.ts'
import { deviceFacts, policyVersion } from '../test/support/story.ts'

/**
 * Fills a directory with very many subscribers, each by the same calls that an app makes, without a socket. Three
 * things make it fast: thousands of batches are committed together, nothing is synced to the disk before the end, and
 * mail is read from the queue instead of being sent.
 */

const batchesPerCommit = 50_000
const subscribersPerWave = 1_000
const atOnce = 64

/** A database whose batches stay in one open transaction until there are thousands of them. */
export class GatheringSqlite extends Sqlite {
  readonly #connection: SqliteConnection
  readonly #runner: SqliteBatchRunner
  #gathered = 0
  #writes = 0

  constructor(connection: SqliteConnection) {
    super(connection)
    this.#connection = connection
    this.#runner = new SqliteBatchRunner(connection)
    connection.pragma('journal_mode = MEMORY')
    connection.pragma('synchronous = OFF')
    connection.pragma('secure_delete = OFF')
    // A stock that breaks off is made anew.
    connection.pragma('foreign_keys = OFF')
    connection.pragma('cache_size = -1000000')
    connection.pragma('cache_spill = OFF')
  }

  override async batch(commands: readonly Command[]): Promise<Outcome[]> {
    if (!this.#connection.inTransaction) this.#connection.exec('BEGIN IMMEDIATE')
    const outcomes = this.#runner.nested(commands)
    this.#writes += 1
    this.#gathered += 1
    if (this.#gathered >= batchesPerCommit) this.#commit()
    if (outcomes instanceof Error) throw outcomes
    return outcomes
  }

  override changeStamp(): number {
    return this.#writes
  }

  override close(): void {
    this.#commit()
    this.#connection.pragma('journal_mode = WAL')
    this.#connection.pragma('synchronous = FULL')
    super.close()
  }

  #commit(): void {
    if (this.#connection.inTransaction) this.#connection.exec('COMMIT')
    this.#gathered = 0
  }
}

/** A subscriber with a published certificate. */
export interface Stocked {
  readonly address: string
  readonly credential: string
  /** The id of its certificate. */
  readonly id: string
  /** DER. */
  readonly certificate: Buffer
}

export interface StockOrder {
  readonly dataDir: string
  readonly addresses: readonly string[]
  /** Before this number of `addresses`, a subscriber is two days old; from it on, this minute's. */
  readonly settled: number
  readonly take: (stocked: Stocked) => void
}

const signatureAlgorithm = encodeElement(tag.sequence, encodeObjectIdentifier('1.2.840.10045.4.3.2'))
const version = Uint8Array.of(tag.integer, 1, 0)
const noSubject = encodeElement(tag.sequence)
const noAttributes = Uint8Array.of(0xa0, 0)

/** A CSR on a new P-256 key, in PEM. */
function makeCsr(): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const info = encodeElement(tag.sequence, version, noSubject, spki, noAttributes)
  const signature = encodeOctetsAsBitString(sign('sha256', info, privateKey))
  const der = encodeElement(tag.sequence, info, signatureAlgorithm, signature)
  return `-----BEGIN CERTIFICATE REQUEST-----\n${toBase64(der)}\n-----END CERTIFICATE REQUEST-----\n`
}

/** Does something with each item, a number of them at once, and keeps their order. */
async function mapAtOnce<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const left = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await act(item)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return results
}

const startedShape = z.object({ id: z.string(), deviceSecret: z.string() })
const mintedShape = z.object({ credential: z.string() })
const issuedShape = z.object({
  state: z.literal('issued'),
  certificate: z.object({ id: z.string(), certificate: z.string() }),
})

type Call = (method: string, path: string, credential: string | null, body?: object) => Promise<unknown>

const callOf =
  ({ service }: NodeService): Call =>
  async (method, path, credential, body) => {
    const headers: Record<string, string> = { host: '127.0.0.1' }
    if (credential !== null) headers['authorization'] = `Bearer ${credential}`
    if (body !== undefined) headers['content-type'] = 'application/json'
    const request = new Request(`https://127.0.0.1${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = await service.fetch(request, { peer: '127.0.0.1', encrypted: true, pkiOnly: false })
    if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`)
    const json: unknown = await answer.json()
    return json
  }

/** Takes all mail out of the queue as if it had been sent; resolves to the token of each registration. */
async function takeMail({ main, keys }: NodeService, now: number): Promise<Map<string, string>> {
  const tokens = new Map<string, string>()
  for (;;) {
    const due = await readDueMail(main, now, 2_000)
    if (due.length === 0) return tokens
    for (const { id, kind, contentSealed } of due) {
      if (kind !== 'challenge') continue
      const place = { table: 'outgoing_mail', column: 'content_sealed', row: id }
      const content = mailContent.parse(JSON.parse(openText(keys.main, place, contentSealed)))
      if (content.kind === 'challenge') tokens.set(content.parameters.registration, content.parameters.token)
    }
    await main.batch(due.map(({ id }) => finishMail(id, 'sent', now, null)))
  }
}

/** Registers some addresses, and publishes a certificate for each. */
async function stockWave(node: NodeService, addresses: readonly string[], clock: Clock): Promise<Stocked[]> {
  const call = callOf(node)
  const started = await mapAtOnce(addresses, async (email) =>
    startedShape.parse(
      await call('POST', '/v1/registrations', null, { email, accountType: 'imap', policyVersion, device: deviceFacts }),
    ),
  )
  const tokens = await takeMail(node, clock())
  const credentials = await mapAtOnce(started, async ({ id, deviceSecret }) => {
    await call('POST', `/v1/registrations/${id}/confirmation`, deviceSecret, { token: tokens.get(id) })
    const { credential } = mintedShape.parse(await call('POST', `/v1/registrations/${id}/credential`, deviceSecret))
    return credential
  })
  const stocked = await mapAtOnce([...addresses.entries()], async ([index, address]) => {
    const credential = credentials[index] ?? ''
    const asked = { csr: makeCsr(), use: 'dual' }
    const { certificate } = issuedShape.parse(await call('POST', '/v1/certificate-requests', credential, asked))
    const consent = { consentVersion: policyVersion, audience: 'members' }
    await call('PUT', `/v1/certificates/${certificate.id}/publication`, credential, consent)
    return { address, credential, id: certificate.id, certificate: Buffer.from(certificate.certificate, 'base64') }
  })
  await takeMail(node, clock())
  return stocked
}

/** How long the older subscribers have been there. */
export const settledMilliseconds = 2 * 86_400_000

/** Fills an empty data directory. */
export async function stockInBulk({ dataDir, addresses, settled, take }: StockOrder): Promise<void> {
  let behind = settledMilliseconds
  const clock = (): number => Date.now() - behind
  const node = await openNodeService(testConfig(dataDir), {
    clock,
    openMain: (connection) => new GatheringSqlite(connection),
    // The queue is emptied here.
    leaveOutgoing: true,
    writeLog: () => undefined,
  })
  try {
    for (let place = 0; place < addresses.length;) {
      if (place >= settled) behind = 0
      const end = place < settled ? Math.min(place + subscribersPerWave, settled) : place + subscribersPerWave
      for (const stocked of await stockWave(node, addresses.slice(place, end), clock)) take(stocked)
      place = end
    }
  } finally {
    await node.settled()
    await node.close()
  }
}
