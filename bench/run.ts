import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { temporaryFolder } from '../test/support/node-process.ts'
import { measureThroughCa, requestsThroughCa, type ThroughCaRound } from './ca.ts'
import { measureEnumeration, type Comparison } from './enumeration.ts'
import { certificatesPerRound, measureIssuing, type IssuingRound } from './issuing.ts'
import { atLeast, resultsOf, tableOf, type Figure, type Part } from './figures.ts'
import { measureLookups } from './lookups.ts'
import { measureOverload } from './overload.ts'
import { measureStarts } from './start.ts'
import { stockOf, type StockFolder } from './stock.ts'

/**
 * Where the README's figures come from: `npm run bench`; see bench/README.md. Ratios of rounds that ran one right after
 * the other on the same machine; the median counts, and the extremes show how still the machine was.
 */

const issuingFiguresOf = (issuing: readonly IssuingRound[], key: string): Figure[] => {
  const each = (read: (round: IssuingRound) => number): number[] => issuing.map(read)
  const perSecond = 'certificates per CPU-second'
  return [
    {
      name: `${key} CAs: certificates issued and stored / @peculiar/x509 alone`,
      unit: `of its ${perSecond}`,
      values: each(({ certbook, library }) => certbook / library),
      digits: 2,
      aim: atLeast(5),
    },
    {
      name: `${key} CAs: certificates issued and stored / cfssl serve`,
      unit: `of its ${perSecond}`,
      values: each(({ certbook, cfssl }) => certbook / cfssl),
      digits: 2,
      aim: atLeast(0.3),
    },
    {
      name: `${key} CA: certificates issued and stored`,
      unit: perSecond,
      values: each(({ certbook }) => certbook),
      digits: 0,
    },
    {
      name: '@peculiar/x509 alone, nothing stored',
      unit: perSecond,
      values: each(({ library }) => library),
      digits: 0,
    },
    { name: `${key} CA: cfssl serve, nothing stored`, unit: perSecond, values: each(({ cfssl }) => cfssl), digits: 0 },
  ]
}

const throughCaFiguresOf = (measured: readonly ThroughCaRound[], key: string): Figure[] => {
  const each = (read: (round: ThroughCaRound) => number): number[] => measured.map(read)
  return [
    {
      name: `${key} CA: requests through certbook to cfssl / straight to cfssl`,
      unit: 'of its requests per second',
      values: each(({ through, direct }) => through / direct),
      digits: 2,
      aim: atLeast(0.3),
    },
    {
      name: `${key} CA: requests through certbook to cfssl`,
      unit: 'requests/s',
      values: each(({ through }) => through),
      digits: 0,
    },
    {
      name: `${key} CA: requests straight to cfssl`,
      unit: 'requests/s',
      values: each(({ direct }) => direct),
      digits: 0,
    },
    {
      name: `${key} CA: CPU of certbook, request to cfssl`,
      unit: 'µs',
      values: each(({ microseconds }) => microseconds),
      digits: 0,
    },
  ]
}

const enumerationFiguresOf = (comparisons: readonly Comparison[]): Figure[] =>
  comparisons.map(({ name, ratios }) => ({
    name,
    unit: 'of its median time',
    values: ratios,
    digits: 3,
    aim: { text: '0.95 to 1.05', met: (value) => value >= 0.95 && value <= 1.05 },
  }))

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    subscribers: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32,64,256' },
    restock: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
let stocked: Promise<StockFolder> | null = null
/** The stock, made at most once a run. */
const stock = (): Promise<StockFolder> => (stocked ??= stockOf(Number(options.subscribers), options.restock))

const parts = {
  issuing: async (folder) => ({
    words: [
      `Issuing: the same CSRs on P-256 keys to each of the three in turn, ${certificatesPerRound} a round; over HTTP,`,
      'save for the library alone, which checks and signs in a loop. CPU of the process that issues.',
    ],
    figures: [
      ...issuingFiguresOf(await measureIssuing(folder, rounds, 'p256'), 'P-256'),
      ...issuingFiguresOf(await measureIssuing(folder, rounds, 'rsa4096'), 'RSA-4096'),
    ],
  }),
  ca: async (folder) => ({
    words: [
      `Through a connected CA: ${requestsThroughCa} new keys a round, 16 at once, to certbook, which has cfssl sign`,
      'and keeps the certificate before it answers, and then the same CSRs straight to that cfssl.',
    ],
    figures: [
      ...throughCaFiguresOf(await measureThroughCa(folder, rounds, 'p256'), 'P-256'),
      ...throughCaFiguresOf(await measureThroughCa(folder, rounds, 'rsa4096'), 'RSA-4096'),
    ],
  }),
  lookups: async (folder) =>
    measureLookups(await stock(), folder, {
      rounds,
      seconds: Number(options.seconds),
      connections: options.connections.split(',').map(Number),
    }),
  start: async (folder) => measureStarts(await stock(), join(folder, 'start'), rounds),
  overload: async (folder) => measureOverload(folder, 'overload', { rounds, seconds: Number(options.seconds) }),
  'front-door': async (folder) => measureOverload(folder, 'front door', { rounds, seconds: Number(options.seconds) }),
  enumeration: async (folder) => ({
    words: ['What the time of an answer tells: the kinds take turns within one process, without a socket.'],
    figures: enumerationFiguresOf(await measureEnumeration(join(folder, 'enumeration'), rounds)),
  }),
} satisfies Record<string, (folder: string) => Promise<Part>>

const wanted = options.only ?? Object.keys(parts)
const chosen = Object.entries(parts).filter(([name]) => wanted.includes(name))
if (chosen.length < wanted.length) throw new Error(`--only takes ${Object.keys(parts).join(', ')}`)

const folder = await temporaryFolder()
try {
  const results: unknown[] = []
  if (!options.json)
    console.log(`Node ${process.versions.node}, ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}.`)
  for (const [name, run] of chosen) {
    const part = await run(folder.path)
    results.push(...resultsOf(part.figures).map((result) => ({ part: name, ...result })))
    if (!options.json) console.log(`\n${part.words.join('\n')}\n\n${tableOf(part.figures)}`)
  }
  if (options.json) console.log(JSON.stringify({ node: process.versions.node, cores: cpus().length, results }, null, 2))
} finally {
  await folder.remove()
}
