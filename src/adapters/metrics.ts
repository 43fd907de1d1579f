import { statSync } from 'node:fs'
import { collectDefaultMetrics, Counter, Gauge as PromGauge, Histogram, Registry } from 'prom-client'
import { countedEvents, type Meter } from '../events.ts'
import type { Exposition, Gauge } from '../ports/meter.ts'

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Labels come from closed sets. If one does not, its values after this many are counted as `other`. */
const valuesAllowed = 100

/** Counters and gauges for Prometheus. */
export class PrometheusMetrics implements Meter, Exposition {
  readonly #registry = new Registry()
  readonly #counters = new Map<string, Counter>()
  readonly #durations: Histogram
  readonly #seen = new Map<string, Set<string>>()
  #exposing: Promise<string> | null = null

  constructor() {
    for (const [name, { means, labels }] of Object.entries(countedEvents)) {
      const registers = [this.#registry]
      this.#counters.set(
        name,
        new Counter({ name: `certbook_${name}_total`, help: means, labelNames: [...labels], registers }),
      )
    }
    this.#durations = new Histogram({
      name: 'certbook_request_seconds',
      help: 'how long answers took, by route and class of status',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [this.#registry],
    })
  }

  /**
   * Adds Node's own figures of the process. Call it once per process: it watches the garbage collector and the event
   * loop.
   */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  count(event: string, labels: Readonly<Record<string, string>>, amount: number): void {
    const bounded: Record<string, string> = {}
    for (const [name, value] of Object.entries(labels)) bounded[name] = this.#bounded(`${event}/${name}`, value)
    this.#counters.get(event)?.inc(bounded, amount)
  }

  requestAnswered(facts: { method: string; route: string; status: number; seconds: number }): void {
    const method = methods.has(facts.method) ? facts.method : 'other'
    const status = `${Math.floor(facts.status / 100)}xx`
    this.#durations.observe({ method, route: this.#bounded('route', facts.route), status }, facts.seconds)
  }

  /** Callers who ask at the same time get the same answer. */
  expose(gauges: readonly Gauge[]): Promise<string> {
    this.#exposing ??= this.#expose(gauges).finally(() => {
      this.#exposing = null
    })
    return this.#exposing
  }

  async #expose(gauges: readonly Gauge[]): Promise<string> {
    const read = new Registry()
    const failed = new PromGauge({
      name: 'certbook_gauges_unreadable',
      help: 'gauges that could not be read just now',
      registers: [read],
    })
    for (const gauge of gauges) {
      try {
        await show(gauge, read)
      } catch {
        failed.inc()
      }
    }
    return `${await this.#registry.metrics()}\n${await read.metrics()}`
  }

  #bounded(place: string, value: string): string {
    const seen = this.#seen.get(place) ?? new Set()
    if (!seen.has(value)) {
      if (seen.size >= valuesAllowed) return 'other'
      this.#seen.set(place, seen.add(value))
    }
    return value
  }
}

async function show(gauge: Gauge, registry: Registry): Promise<void> {
  const values = await gauge.read()
  const { name, means, label } = gauge
  const shown = new PromGauge({
    name,
    help: means,
    labelNames: label === undefined ? [] : [label],
    registers: [registry],
  })
  // Without a label the library would show a zero.
  shown.reset()
  if (label === undefined && values.size === 0) registry.removeSingleMetric(name)
  for (const [of, value] of values) shown.set(label === undefined ? {} : { [label]: of }, value)
}

/** The sizes of database files, including their write-ahead logs. */
export const databaseSizes = (files: Readonly<Record<string, string>>): Gauge => ({
  name: 'certbook_database_bytes',
  means: 'the size of a database on disk, with its write-ahead log',
  label: 'database',
  read: () => {
    const sizes = Object.entries(files).map(([name, file]): [string, number] => [
      name,
      sizeOf(file) + sizeOf(`${file}-wal`),
    ])
    return Promise.resolve(new Map(sizes))
  },
})

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0
