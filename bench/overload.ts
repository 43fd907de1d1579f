import { join } from 'node:path'
import { z } from 'zod'
import { certify, publish, type Registered } from '../test/support/story.ts'
import { startCrowd, type Crowd } from './crowd.ts'
import type { CrowdOrder, CrowdReport } from './crowd-process.ts'
import { atLeast, atMost, type Figure, type Part } from './figures.ts'
import { ServerProcess } from './processes.ts'
import { registeredDomains, stockSubscribers } from './stock.ts'

/** Lookups of members while one network and one domain ask for more than can be answered, or attack in all ways at once. */

export type Attack = 'overload' | 'front door'

interface OverloadOptions {
  readonly rounds: number
  readonly seconds: number
}

const withId = z.object({ id: z.string() })

/** All are published. Nearly all of them ask, each for a hundred addresses. */
const subscribers = 1_000
/** The domain of the excess has its own budget, which is not to be what ends it. */
const addressesOfExcess = 11
/** More than this the generator sends to nobody: then it would itself be measured. */
const partOfBare = 0.6
const timesCapacity = 3
/** The part of the capacity that the others ask for. */
const partOfOthers = 0.1
/** Past the first day, on which a subscriber may look up less. */
const threeDays = 3 * 86_400_000

const othersNetworks = Array.from({ length: 8 }, (_, number) => `127.0.${20 + number}.1`)
const attackers = Array.from({ length: 4 }, (_, number) => `127.0.1.${1 + number}`)

interface Round {
  readonly bare: number
  readonly peak: number
  readonly offered: number
  readonly idle: CrowdReport
  readonly others: CrowdReport
  readonly excess: CrowdReport
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, number) => total + number, 0)
const answered = ({ lookups }: CrowdReport): number => lookups['200'] ?? 0
const refused = ({ lookups }: CrowdReport): number => sum(lookups) - (lookups['200'] ?? 0)
const perSecond = (report: CrowdReport): number => answered(report) / report.seconds

interface Stage {
  readonly certbook: ServerProcess
  readonly bare: ServerProcess
  readonly crowds: readonly [Crowd, Crowd]
  readonly members: readonly Registered[]
}

async function measureRound(stage: Stage, attack: Attack, seconds: number): Promise<Round> {
  const { certbook, bare, members } = stage
  const [first, second] = stage.crowds
  const credentialsOf = (wanted: (number: number) => boolean): string[] =>
    members.filter((_, number) => wanted(number)).map(({ credential }) => credential)
  const common = {
    port: certbook.port,
    seconds,
    addresses: members.map(({ email }) => email),
    keeps: true,
    dearPerSecond: 0,
    idle: 0,
  }
  const elsewhere: Omit<CrowdOrder, 'lookupsPerSecond'> = {
    ...common,
    from: othersNetworks,
    credentials: credentialsOf((number) => number % registeredDomains !== 0),
    connections: 64,
  }
  const bareSpeed = perSecond(await first.run({ ...elsewhere, port: bare.port, lookupsPerSecond: null }))
  const peak = perSecond(await first.run({ ...elsewhere, lookupsPerSecond: null }))
  const quiet = { ...elsewhere, lookupsPerSecond: partOfOthers * peak }
  const idle = await first.run(quiet)
  const offered = Math.min(timesCapacity * peak, partOfBare * bareSpeed)
  const [others, excess] = await Promise.all([
    first.run(quiet),
    second.run({
      ...common,
      addresses: common.addresses.slice(0, addressesOfExcess),
      from: attackers,
      credentials: credentialsOf((number) => number % registeredDomains === 0),
      connections: 400,
      lookupsPerSecond: Math.max(offered - quiet.lookupsPerSecond, 0),
      keeps: false,
      ...(attack === 'front door' ? { dearPerSecond: 25, idle: 2_000 } : {}),
    }),
  ])
  return { bare: bareSpeed, peak, offered, idle, others, excess }
}

function figuresOf(rounds: readonly Round[], attack: Attack): Figure[] {
  const each = (read: (round: Round) => number): number[] => rounds.map(read)
  const whole = { name: 'all answered lookups / those at the peak', unit: 'times', digits: 2 }
  const wholeValues = each(({ others, excess, peak }) => (perSecond(others) + perSecond(excess)) / peak)
  return [
    {
      name: "others' median / without the excess",
      unit: 'times',
      values: each(({ others, idle }) => others.p50Milliseconds / idle.p50Milliseconds),
      digits: 2,
      aim: atMost(3),
    },
    { ...whole, values: wholeValues, ...(attack === 'overload' ? { aim: atLeast(0.9) } : {}) },
    {
      name: "others' lookups that were refused",
      unit: 'lookups',
      values: each(({ others }) => refused(others)),
      digits: 0,
      aim: atMost(0),
    },
    { name: 'lookups offered / peak', unit: 'times', values: each(({ offered, peak }) => offered / peak), digits: 2 },
    {
      name: 'lookups offered / bare Hono',
      unit: 'times',
      values: each(({ offered, bare }) => offered / bare),
      digits: 2,
    },
    { name: 'peak', unit: 'lookups/s', values: each(({ peak }) => peak), digits: 0 },
    {
      name: "others' median without the excess",
      unit: 'ms',
      values: each(({ idle }) => idle.p50Milliseconds),
      digits: 2,
    },
    { name: "others' median", unit: 'ms', values: each(({ others }) => others.p50Milliseconds), digits: 2 },
    { name: 'median of the excess', unit: 'ms', values: each(({ excess }) => excess.p50Milliseconds), digits: 1 },
    {
      name: 'lookups of the excess that were refused',
      unit: 'lookups',
      values: each(({ excess }) => refused(excess)),
      digits: 0,
    },
    { name: "others' load generator", unit: 'cores', values: each(({ others }) => others.cores), digits: 2 },
    { name: "the excess's load generator", unit: 'cores', values: each(({ excess }) => excess.cores), digits: 2 },
    ...(attack === 'front door'
      ? [
          {
            name: 'dear bodies that were answered',
            unit: '1/s',
            values: each(({ excess }) => sum(excess.dear) / excess.seconds),
            digits: 1,
          },
        ]
      : []),
  ]
}

const words: Readonly<Record<Attack, readonly string[]>> = {
  overload: [
    'Overload: members of eight networks look up a tenth of what can be answered, while one network and one mail domain ask',
    `for the rest of the lesser of ${timesCapacity} times the peak and ${partOfBare} of what a bare Hono route answers.`,
  ],
  'front door': [
    'Front door: the same, and from the network of the excess 25 RSA keys of 4,096 bits a second without their primes, and',
    '2,000 connections that say nothing, as far as they are let in.',
  ],
}

/** Stocks a folder with subscribers, and measures there. */
export async function measureOverload(folder: string, attack: Attack, options: OverloadOptions): Promise<Part> {
  const dataDir = join(folder, attack.replace(' ', '-'))
  const publishing = async (subscriber: Registered): Promise<void> => {
    const { id } = withId.parse(await certify(subscriber))
    await publish(subscriber, id)
  }
  const members = await stockSubscribers(dataDir, subscribers, publishing, () => Date.now() - threeDays)
  const started: { stop(): Promise<void> }[] = []
  const keep = <T extends { stop(): Promise<void> }>(process: T): T => {
    started.push(process)
    return process
  }
  try {
    const certbook = keep(await ServerProcess.start('certbook', dataDir))
    const bare = keep(await ServerProcess.start('bare', '3000'))
    const crowds = [keep(await startCrowd()), keep(await startCrowd())] as const
    const stage = { certbook, bare, crowds, members }
    // Compiling the hot paths is no cost of a lookup.
    await measureRound(stage, 'overload', 2)
    const rounds: Round[] = []
    for (let round = 0; round < options.rounds; round += 1) {
      rounds.push(await measureRound(stage, attack, options.seconds))
    }
    return { words: words[attack], figures: figuresOf(rounds, attack) }
  } finally {
    for (const process of started.toReversed()) await process.stop()
  }
}
