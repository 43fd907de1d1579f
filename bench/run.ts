import { cp } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openSqliteFile } from '../src/adapters/sqlite.ts'
import { startProcess, temporaryFolder } from '../test/support/node-process.ts'
import { measureThroughCa, requestsThroughCa, type ThroughCaRound } from './ca.ts'
import { measureEnumeration, type Comparison } from './enumeration.ts'
import { certificatesPerRound, measureIssuing, type IssuingRound } from './issuing.ts'
import { askOnce, measure, warmUp, type Round } from './measure.ts'
import { ServerProcess } from './processes.ts'
import { stockDirectory, type Stock } from './stock.ts'

/**
 * Where the README's figures come from: `npm run bench [-- --json]`. Ratios of rounds that ran one right after the
 * other on the same machine, five times over; the median counts, and the extremes show how still the machine was.
 */

const subscribers = 200
const rounds = 5
const secondsPerRound = 3

/** A measured figure: what came out, what is aimed at, and whether that is met. */
interface Figure {
  readonly name: string
  readonly unit: string
  readonly values: readonly number[]
  readonly digits: number
  readonly aim?: { readonly text: string; readonly met: (median: number) => boolean }
}

const median = (values: readonly number[]): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN

interface Trio {
  readonly bare: Round
  readonly withLog: Round
  readonly withoutLog: Round
}

/** Measures the three servers in turn. Every round ends with its rows settled, so none pays for another's. */
async function measureTrios(folder: string, stock: Stock): Promise<Trio[]> {
  const servers: ServerProcess[] = []
  const start = async (kind: 'bare' | 'with-log' | 'without-log', argument: string): Promise<ServerProcess> => {
    const server = await ServerProcess.start(kind, argument)
    servers.push(server)
    return server
  }
  try {
    const withLog = await start('with-log', join(folder, 'with-log'))
    const withoutLog = await start('without-log', join(folder, 'without-log'))
    const bare = await start('bare', String(await askOnce(withLog, stock)))
    for (const server of servers) await warmUp(server, stock)
    const trios: Trio[] = []
    for (let round = 0; round < rounds; round += 1) {
      trios.push({
        bare: await measure(bare, stock, secondsPerRound),
        withLog: await measure(withLog, stock, secondsPerRound),
        withoutLog: await measure(withoutLog, stock, secondsPerRound),
      })
    }
    return trios
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

/** Milliseconds from the start of a process over existing data to its first answer of `/readyz`. */
async function measureStart(dataDir: string): Promise<number> {
  const before = performance.now()
  const service = await startProcess(dataDir)
  try {
    const ready = await fetch(`${service.url}/readyz`)
    if (ready.status !== 200) throw new Error(`the service is not ready: ${await ready.text()}`)
    return performance.now() - before
  } finally {
    await service.end('SIGTERM')
  }
}

async function measureStarts(dataDir: string): Promise<number[]> {
  const starts: number[] = []
  for (let round = 0; round < rounds; round += 1) starts.push(await measureStart(dataDir))
  return starts
}

const countLogRows = (dataDir: string): number => {
  const connection = openSqliteFile(join(dataDir, 'journal.db'), { readonly: true })
  try {
    const rows = connection
      .prepare('SELECT (SELECT count(*) FROM query_log) + (SELECT count(*) FROM query_log_recent)')
      .pluck()
      .get()
    return Number(rows)
  } finally {
    connection.close()
  }
}

const figuresOf = (trios: readonly Trio[], starts: readonly number[]): Figure[] => {
  const each = (read: (trio: Trio) => number): number[] => trios.map(read)
  return [
    {
      name: 'lookups with log / bare Hono route',
      unit: 'of its requests per second',
      values: each(({ withLog, bare }) => withLog.perSecond / bare.perSecond),
      digits: 2,
      aim: { text: 'at least 0.30', met: (value) => value >= 0.3 },
    },
    {
      name: 'server CPU per lookup, log / no log',
      unit: 'times',
      values: each(({ withLog, withoutLog }) => withLog.serverMicroseconds / withoutLog.serverMicroseconds),
      digits: 2,
      aim: { text: 'at most 1.50', met: (value) => value <= 1.5 },
    },
    {
      name: 'start over existing data to /readyz',
      unit: 'ms',
      values: starts,
      digits: 0,
      aim: { text: 'under 1200', met: (value) => value < 1_200 },
    },
    { name: 'bare Hono route', unit: 'requests/s', values: each(({ bare }) => bare.perSecond), digits: 0 },
    { name: 'lookups with log', unit: 'lookups/s', values: each(({ withLog }) => withLog.perSecond), digits: 0 },
    {
      name: 'lookups without log',
      unit: 'lookups/s',
      values: each(({ withoutLog }) => withoutLog.perSecond),
      digits: 0,
    },
    { name: 'CPU, bare Hono route', unit: 'µs', values: each(({ bare }) => bare.serverMicroseconds), digits: 1 },
    { name: 'CPU, lookup with log', unit: 'µs', values: each(({ withLog }) => withLog.serverMicroseconds), digits: 1 },
    {
      name: 'CPU, lookup without log',
      unit: 'µs',
      values: each(({ withoutLog }) => withoutLog.serverMicroseconds),
      digits: 1,
    },
    { name: 'p50 of a lookup with log', unit: 'ms', values: each(({ withLog }) => withLog.p50Milliseconds), digits: 0 },
    { name: 'p99 of a lookup with log', unit: 'ms', values: each(({ withLog }) => withLog.p99Milliseconds), digits: 0 },
    {
      name: 'load generator, at the bare route',
      unit: 'of one core',
      values: each(({ bare }) => bare.loadCores),
      digits: 2,
    },
  ]
}

const issuingFiguresOf = (issuing: readonly IssuingRound[]): Figure[] => {
  const each = (read: (round: IssuingRound) => number): number[] => issuing.map(read)
  const perSecond = 'certificates per CPU-second'
  return [
    {
      name: 'certificates issued and stored / @peculiar/x509 alone',
      unit: `of its ${perSecond}`,
      values: each(({ certbook, library }) => certbook / library),
      digits: 2,
      aim: { text: 'at least 5.00', met: (value) => value >= 5 },
    },
    {
      name: 'certificates issued and stored / cfssl serve',
      unit: `of its ${perSecond}`,
      values: each(({ certbook, cfssl }) => certbook / cfssl),
      digits: 2,
      aim: { text: 'at least 0.50', met: (value) => value >= 0.5 },
    },
    { name: 'certificates issued and stored', unit: perSecond, values: each(({ certbook }) => certbook), digits: 0 },
    {
      name: '@peculiar/x509 alone, nothing stored',
      unit: perSecond,
      values: each(({ library }) => library),
      digits: 0,
    },
    { name: 'cfssl serve, nothing stored', unit: perSecond, values: each(({ cfssl }) => cfssl), digits: 0 },
  ]
}

const throughCaFiguresOf = (measured: readonly ThroughCaRound[]): Figure[] => {
  const each = (read: (round: ThroughCaRound) => number): number[] => measured.map(read)
  return [
    {
      name: 'requests through certbook to cfssl / straight to cfssl',
      unit: 'of its requests per second',
      values: each(({ through, direct }) => through / direct),
      digits: 2,
      aim: { text: 'at least 0.50', met: (value) => value >= 0.5 },
    },
    {
      name: 'requests through certbook to cfssl',
      unit: 'requests/s',
      values: each(({ through }) => through),
      digits: 0,
    },
    { name: 'requests straight to cfssl', unit: 'requests/s', values: each(({ direct }) => direct), digits: 0 },
    {
      name: 'CPU of certbook, request to cfssl',
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

const tableOf = (figures: readonly Figure[]): string =>
  ['| figure | unit | median | min | max | aim |', '| --- | --- | --- | --- | --- | --- |', ...figures.map(rowOf)].join(
    '\n',
  )

const rowOf = ({ name, unit, values, digits, aim }: Figure): string => {
  const shown = (value: number): string => value.toFixed(digits)
  const verdict = aim === undefined ? '' : `${aim.text}: ${aim.met(median(values)) ? 'met' : 'MISSED'}`
  return `| ${name} | ${unit} | ${shown(median(values))} | ${shown(Math.min(...values))} | ${shown(Math.max(...values))} | ${verdict} |`
}

const folder = await temporaryFolder()
try {
  const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
  // First, so that a missing cfssl is said at once.
  const issuing = issuingFiguresOf(await measureIssuing(folder.path, rounds))
  const throughCa = throughCaFiguresOf(await measureThroughCa(folder.path, rounds))
  const stocked = join(folder.path, 'stock')
  const stock = await stockDirectory(stocked, subscribers)
  for (const copy of ['with-log', 'without-log']) await cp(stocked, join(folder.path, copy), { recursive: true })
  const trios = await measureTrios(folder.path, stock)
  const starts = await measureStarts(stocked)
  const logged = countLogRows(join(folder.path, 'with-log'))
  const answered = trios.reduce((sum, { withLog }) => sum + withLog.lookups, 0)
  if (logged < answered) throw new Error(`${answered} lookups were answered, but only ${logged} are in the log`)
  const figures = figuresOf(trios, starts)
  const enumeration = enumerationFiguresOf(await measureEnumeration(join(folder.path, 'enumeration'), rounds))
  if (options.json) {
    const results = [...figures, ...issuing, ...throughCa, ...enumeration].map(({ aim, ...figure }) => ({
      ...figure,
      median: median(figure.values),
      ...(aim === undefined ? {} : { aim: aim.text, met: aim.met(median(figure.values)) }),
    }))
    console.log(
      JSON.stringify({ node: process.versions.node, cores: cpus().length, answered, logged, results }, null, 2),
    )
  } else {
    console.log(`Node ${process.versions.node}, ${cpus().length} cores, ${subscribers} published subscribers,`)
    console.log(`one address a lookup, 64 connections, ${rounds} rounds of ${secondsPerRound} s; load by autocannon.\n`)
    console.log(tableOf(figures))
    console.log(
      `\nEach of the ${answered} answered lookups is in the log (${logged} rows, those of the warm-up among them).`,
    )
    console.log(
      `\nIssuing: the same CSRs on P-256 keys to each of the three in turn, ${certificatesPerRound} a round; over HTTP,`,
    )
    console.log('save for the library alone, which checks and signs in a loop. CPU of the process that issues.\n')
    console.log(tableOf(issuing))
    console.log(
      `\nThrough a connected CA: ${requestsThroughCa} new keys a round, 16 at once, to certbook, which has cfssl sign`,
    )
    console.log('and keeps the certificate before it answers, and then the same CSRs straight to that cfssl.\n')
    console.log(tableOf(throughCa))
    console.log('\nWhat the time of an answer tells: the kinds take turns within one process, without a socket.\n')
    console.log(tableOf(enumeration))
  }
} finally {
  await folder.remove()
}
