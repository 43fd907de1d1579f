/** What a monitoring system is told beside the counted events. */

/** A figure that is read when somebody asks for it. */
export interface Gauge {
  /** By the rules of Prometheus: `certbook_…`, with the unit at the end. */
  readonly name: string
  readonly means: string
  /** The name of its label, if it has several values. */
  readonly label?: string
  /** The values by label. A single value has the empty label. */
  read(): Promise<ReadonlyMap<string, number>>
}

/** A gauge with one value. Null: there is nothing to show. */
export const singleGauge = (name: string, means: string, read: () => Promise<number | null>): Gauge => ({
  name,
  means,
  read: async () => {
    const value = await read()
    return new Map(value === null ? [] : [['', value]])
  },
})

/** Renders all figures as text. */
export interface Exposition {
  readonly contentType: string
  /** Reads the gauges and renders them with the counters. A gauge that cannot be read is left out. */
  expose(gauges: readonly Gauge[]): Promise<string>
}
