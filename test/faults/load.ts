import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import type { RunningServer } from '../../src/node.ts'
import { Api, askOver } from '../support/api.ts'
import { readLog, type AnsweredLookup } from '../support/check-service.ts'
import { watchOutbox, type MailSource } from '../support/mail.ts'
import { startProcess, type ServiceProcess } from '../support/node-process.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'

/** Every address of the load ends like this, so who looks for this in a file finds any of them. */
export const commonTail = 'sigkill@faults.example'

/** One client asks for more than a subscriber may on their first day; budgets are tested elsewhere. */
export const manyLookups = { LOOKUP_BUDGET_NEW_SUBSCRIBER: '1000000', LOOKUP_BUDGET_DOMAIN: '1000000' } as const

/** How to start another service than this folder's own. */
export interface ServiceCommand {
  readonly command?: readonly string[]
  readonly cwd?: string
}

/** A subscriber whose credential was answered, and what else was answered to it. */
interface Subscriber {
  readonly subscriberId: string
  readonly deviceId: string
  readonly email: string
  readonly credential: string
  /** Asked for once only: a second certificate would supersede the first. */
  certificateAsked: boolean
  certificate: { readonly id: string; readonly certificate: string } | null
  publicationAsked: boolean
  published: boolean
}

/** What clients were answered, over any number of processes on one data directory: all of it must have been kept. */
export class Witness {
  readonly lookups: AnsweredLookup[] = []
  readonly subscribers: Subscriber[] = []
  #addresses = 0

  freshAddress(): string {
    this.#addresses += 1
    return `m${this.#addresses}-${commonTail}`
  }

  published(): Subscriber[] {
    return this.subscribers.filter((subscriber) => subscriber.published)
  }

  certified(): Subscriber[] {
    return this.subscribers.filter((subscriber) => subscriber.certificate !== null)
  }
}

const oneOf = <T>(list: readonly T[]): T | undefined => (list.length === 0 ? undefined : list[randomInt(list.length)])

const unknownAddresses = Array.from({ length: 50 }, (_, index) => `nobody${index}-${commonTail}`)

/** One process under load. */
interface Run {
  readonly api: Api
  readonly mails: MailSource
  readonly witness: Witness
  /** Rejects when the process has ended, for what would wait for its mail for ever. */
  readonly ended: Promise<never>
  answered(): void
}

const as = (run: Run, subscriber: Subscriber): Registered => ({
  ...subscriber,
  api: run.api.with(subscriber.credential),
})

async function registerOne(run: Run): Promise<void> {
  const mails: MailSource = {
    challengeOf: (id, earlier) => Promise.race([run.mails.challengeOf(id, earlier), run.ended]),
    challengesOf: (id) => run.mails.challengesOf(id),
    arrivalOf: (to, subject, earlier) => Promise.race([run.mails.arrivalOf(to, subject, earlier), run.ended]),
  }
  const { subscriberId, deviceId, email, credential } = await register(run.api, mails, run.witness.freshAddress())
  const nothingYet = { certificateAsked: false, certificate: null, publicationAsked: false, published: false }
  run.witness.subscribers.push({ subscriberId, deviceId, email, credential, ...nothingYet })
}

async function certifyOne(run: Run, subscriber: Subscriber): Promise<void> {
  subscriber.certificateAsked = true
  const { id, certificate } = await certify(as(run, subscriber))
  subscriber.certificate = { id, certificate }
}

async function publishOne(run: Run, subscriber: Subscriber, certificate: string): Promise<void> {
  subscriber.publicationAsked = true
  await publish(as(run, subscriber), certificate)
  subscriber.published = true
}

async function lookUpSome(run: Run, asker: Subscriber): Promise<void> {
  const { witness } = run
  const published = oneOf(witness.published())
  const others = Array.from({ length: randomInt(1, 4) }, () => oneOf(unknownAddresses) ?? '')
  const addresses = [...new Set([...(published === undefined ? [] : [published.email]), ...others])]
  const [first] = await lookUp(as(run, asker), addresses)
  witness.lookups.push({ asker: asker.subscriberId, addresses })
  if (published === undefined) return
  assert.deepEqual(
    [first.status, first.certificates.map((found: { certificate: string }) => found.certificate)],
    ['found', [published.certificate?.certificate]],
    `${published.email} was published before it was looked up`,
  )
}

/** One random act of a client. */
async function act(run: Run): Promise<void> {
  const { subscribers } = run.witness
  const asker = oneOf(subscribers)
  const choice = randomInt(100)
  const uncertified = choice < 12 ? subscribers.find((one) => !one.certificateAsked) : undefined
  const unpublished = choice < 20 ? run.witness.certified().find((one) => !one.publicationAsked) : undefined
  if (asker === undefined || (choice >= 20 && choice < 30)) await registerOne(run)
  else if (uncertified !== undefined) await certifyOne(run, uncertified)
  else if (unpublished?.certificate) await publishOne(run, unpublished, unpublished.certificate.id)
  else await lookUpSome(run, asker)
  run.answered()
}

const workers = 64

/** Loads a process until `finished` says so; an error before that is the test's failure. */
async function load(run: Run, finished: () => boolean, fail: () => void): Promise<void> {
  const work = async (): Promise<void> => {
    try {
      while (!finished()) await act(run)
    } catch (error) {
      // What the kill cut off was not answered. A wrong answer is wrong at any time.
      if (finished() && !(error instanceof assert.AssertionError)) return
      fail()
      throw error
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
}

/**
 * Starts the service on a data directory, loads it with concurrent clients and kills it with SIGKILL in the moment in
 * which one of them got answer number `answers`: the others are then at any point of their own requests. The moment
 * comes later where `enough` is not yet so. What was answered is added to `witness`.
 */
export async function killUnderLoad(
  dataDir: string,
  witness: Witness,
  options: ServiceCommand & { readonly answers: number; readonly enough?: () => boolean },
): Promise<ServiceProcess> {
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  const { answers: wanted, enough = () => true, ...command } = options
  const service = await startProcess(dataDir, { ...command, settings: manyLookups })
  let answers = 0
  let killed = false
  const kill = (): void => {
    killed = true
    service.child.kill('SIGKILL')
  }
  const ended = once(service.child, 'exit').then(() => {
    throw new Error(`the service has ended:\n${service.output()}`)
  })
  ended.catch(() => undefined)
  const run: Run = {
    api: new Api(askOver(service.url)),
    mails,
    witness,
    ended,
    answered: () => {
      answers += 1
      if (answers >= wanted && !killed && enough()) kill()
    },
  }
  try {
    await load(run, () => killed, kill)
  } finally {
    await service.end('SIGKILL')
    mails.close()
  }
  assert.equal(service.child.signalCode, 'SIGKILL', 'the service ended by itself')
  return service
}

const counted = (entries: readonly { asker: string; address: string }[]): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { asker, address } of entries) {
    const key = `${asker} asked for ${address}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** Answered lookups that stand in the log less often than they were answered. */
export async function unloggedLookups(server: RunningServer, answered: readonly AnsweredLookup[]): Promise<string[]> {
  const { journal, keys } = server.node
  await keys.journal.prepare(Date.now())
  const logged = counted(await readLog(journal.shards(), keys))
  const wanted = counted(answered.flatMap(({ asker, addresses }) => addresses.map((address) => ({ asker, address }))))
  return Array.from(wanted)
    .filter(([key, times]) => (logged.get(key) ?? 0) < times)
    .map(([key, times]) => `not in the log: ${key} (answered ${times} times, logged ${logged.get(key) ?? 0} times)`)
}

async function subscriberFaults(api: Api, subscriber: Subscriber): Promise<string[]> {
  const { subscriberId, email, credential, certificate } = subscriber
  const me = await api.with(credential).get('/v1/me')
  if (me.status !== 200 || me.body.subscriberId !== subscriberId) return [`lost: the credential of ${email}`]
  if (me.body.mailboxes[0]?.address !== email) return [`lost: the mailbox ${email}`]
  if (certificate === null) return []
  const { items } = (await api.with(credential).get('/v1/certificates')).body
  const kept = items.some(
    (item: typeof certificate) => item.id === certificate.id && item.certificate === certificate.certificate,
  )
  return kept ? [] : [`lost: the certificate of ${email}`]
}

async function publicationFaults(api: Api, asker: Subscriber, published: readonly Subscriber[]): Promise<string[]> {
  const answer = await api
    .with(asker.credential)
    .post('/v1/lookups', { addresses: published.map(({ email }) => email), use: 'encrypt' })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return published
    .filter(
      ({ certificate }, index) => answer.body.results[index]?.certificates[0]?.certificate !== certificate?.certificate,
    )
    .map(({ email }) => `lost: the publication of ${email}`)
}

const inPortions = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, index) => list.slice(index * size, (index + 1) * size))

/** Everything that was answered and is not there any more, in words. */
export async function faultsOf(server: RunningServer, witness: Witness): Promise<string[]> {
  const faults = await unloggedLookups(server, witness.lookups)
  const api = new Api(askOver(server.url))
  for (const portion of inPortions(witness.subscribers, 32)) {
    const found = await Promise.all(portion.map((subscriber) => subscriberFaults(api, subscriber)))
    faults.push(...found.flat())
  }
  const [asker] = witness.subscribers
  if (asker === undefined) return faults
  for (const portion of inPortions(witness.published(), 100))
    faults.push(...(await publicationFaults(api, asker, portion)))
  return faults
}
