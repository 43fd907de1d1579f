import { join } from 'node:path'
import { z } from 'zod'
import { openSqliteFile } from '../src/adapters/sqlite.ts'
import { openNodeService, type NodeService } from '../src/node.ts'
import { Api, type Answer } from '../test/support/api.ts'
import { testConfig } from '../test/support/node-process.ts'
import { certify, deviceFacts, policyVersion, publish, type Registered } from '../test/support/story.ts'
import { askFrom, stockSubscribers } from './stock.ts'

/**
 * What the time of an answer tells: lookups that find nothing for different reasons, and registrations of known and
 * unknown mailboxes. All kinds take turns in random order within one process, and only their medians are compared.
 */

const targets = 40
const askersPerRound = 10

/** Why an address is not found; the subscribers of each kind stand one after the other in the stock. */
const registeredKinds = ['unpublished', 'restricted', 'published to another audience'] as const
type Kind = 'never seen' | (typeof registeredKinds)[number]

/** The median time of one kind divided by that of what was never seen, one ratio for each round. */
export interface Comparison {
  readonly name: string
  readonly ratios: readonly number[]
}

interface Stocked {
  readonly subscribers: readonly Registered[]
  readonly addresses: Readonly<Record<Kind, readonly string[]>>
}

const withId = z.object({ id: z.string() })

const median = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN

const shuffled = <T>(list: readonly T[]): T[] =>
  list
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((left, right) => left.place - right.place)
    .map(({ item }) => item)

/** Stocks a directory with mailboxes of which nobody finds any without a credential. */
async function stock(dataDir: string): Promise<Stocked> {
  let number = 0
  const subscribers = await stockSubscribers(dataDir, targets * registeredKinds.length, async (subscriber) => {
    const kind = registeredKinds[Math.floor(number / targets)]
    number += 1
    const { id } = withId.parse(await certify(subscriber))
    if (kind === 'restricted') await publish(subscriber, id, 'public')
    if (kind === 'published to another audience') await publish(subscriber, id, 'members')
  })
  const ofKind = (kind: (typeof registeredKinds)[number]): Registered[] =>
    subscribers.slice(registeredKinds.indexOf(kind) * targets).slice(0, targets)
  const connection = openSqliteFile(join(dataDir, 'main.db'))
  const restrict = connection.prepare('UPDATE subscribers SET restricted_at = created_at WHERE id = ?')
  for (const { subscriberId } of ofKind('restricted')) restrict.run(subscriberId)
  connection.close()
  const emails = (kind: (typeof registeredKinds)[number]): string[] => ofKind(kind).map(({ email }) => email)
  return {
    subscribers,
    addresses: {
      'never seen': subscribers.slice(0, targets).map(({ email }) => email.replace('subscriber', 'nobodyhere')),
      unpublished: emails('unpublished'),
      restricted: emails('restricted'),
      'published to another audience': emails('published to another audience'),
    },
  }
}

/** The times of some kinds of requests, milliseconds, each measured when nothing else is going on. */
async function timeInTurns<K extends string>(
  node: NodeService,
  requests: readonly { readonly kind: K; readonly ask: () => Promise<Answer>; readonly status: number }[],
): Promise<Map<K, number>> {
  const times = new Map<K, number[]>()
  for (const { kind, ask, status } of shuffled(requests)) {
    const before = performance.now()
    const answer = await ask()
    const took = performance.now() - before
    if (answer.status !== status)
      throw new Error(`${kind} was answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    times.set(kind, [...(times.get(kind) ?? []), took])
    await node.settled()
  }
  return new Map([...times].map(([kind, all]) => [kind, median(all)]))
}

/** One round of lookups by askers who have asked for none of these before. */
const timeLookups = (
  node: NodeService,
  askers: readonly Api[],
  addresses: Stocked['addresses'],
  kinds: readonly Kind[],
): Promise<Map<Kind, number>> =>
  timeInTurns(
    node,
    askers.flatMap((asker) =>
      kinds.flatMap((kind) =>
        addresses[kind].map((address) => ({
          kind,
          status: 200,
          ask: () => asker.post('/v1/lookups', { addresses: [address], use: 'encrypt' }),
        })),
      ),
    ),
  )

const timeRegistrations = (
  node: NodeService,
  round: number,
  known: readonly string[],
): Promise<Map<'known' | 'unknown', number>> => {
  const request = (kind: 'known' | 'unknown', email: string, index: number) => ({
    kind,
    status: 202,
    ask: () =>
      new Api(askFrom(node.service, 1_000 + round * 1_000 + index)).post('/v1/registrations', {
        email,
        accountType: 'imap',
        policyVersion,
        device: deviceFacts,
      }),
  })
  return timeInTurns(node, [
    ...known.map((email, index) => request('known', email, index)),
    ...known.map((email, index) =>
      request('unknown', email.replace('subscriber', `newcomer${round}`), known.length + index),
    ),
  ])
}

const ratioOf = <K>(times: ReadonlyMap<K, number>, kind: K, to: K): number =>
  (times.get(kind) ?? Number.NaN) / (times.get(to) ?? Number.NaN)

/** Stocks an empty folder and measures in it, after one round that does not count. */
export async function measureEnumeration(dataDir: string, rounds: number): Promise<Comparison[]> {
  const { subscribers, addresses } = await stock(dataDir)
  const ratios = new Map<string, number[]>()
  const note = (name: string, ratio: number): void => void ratios.set(name, [...(ratios.get(name) ?? []), ratio])
  // A mailbox takes a few challenges a day only, so every round is on a day of its own.
  let ahead = 0
  const node = await openNodeService(
    testConfig(dataDir, {
      DIRECTORY_ACCESS: 'public',
      LOOKUP_BUDGET_NEW_SUBSCRIBER: '1000000',
      LOOKUP_BUDGET_SUBSCRIBER: '1000000',
      LOOKUP_BUDGET_DOMAIN: '1000000',
    }),
    { clock: () => Date.now() + ahead, mailer: { deliver: async () => undefined } },
  )
  const membersKinds = ['never seen', 'unpublished', 'restricted'] as const
  const anyonesKinds = ['never seen', ...registeredKinds] as const
  try {
    for (let round = 0; round <= rounds; round += 1) {
      ahead += 86_400_000
      const anyone = Array.from(
        { length: askersPerRound },
        (_, index) => new Api(askFrom(node.service, round * 100 + index)),
      )
      const members = subscribers
        .slice(0, askersPerRound)
        .map(({ credential }, index) => new Api(askFrom(node.service, index)).with(credential))
      // The first use of a day is noted durably, which is no part of a lookup's time.
      for (const member of members) await member.get('/v1/me')
      const byAnyone = await timeLookups(node, anyone, addresses, anyonesKinds)
      const byMembers = await timeLookups(node, members, addresses, membersKinds)
      const registrations = await timeRegistrations(node, round, addresses.unpublished)
      if (round === 0) continue
      for (const kind of registeredKinds)
        note(`anonymous lookup, ${kind} / never seen`, ratioOf(byAnyone, kind, 'never seen'))
      for (const kind of ['unpublished', 'restricted'] as const) {
        note(`member's lookup, ${kind} / never seen`, ratioOf(byMembers, kind, 'never seen'))
      }
      note('registration, known mailbox / unknown', ratioOf(registrations, 'known', 'unknown'))
    }
  } finally {
    await node.settled()
    await node.close()
  }
  return [...ratios].map(([name, values]) => ({ name, ratios: values }))
}
