/** What a monitoring system is told beside the counted events. */

/** A figure that is read when somebody asks for it. */
export interface Gauge {
  /** After Prometheus' rules: `certbook_…`, with its unit at the end. */
  readonly name: string
  readonly means: string
  /** The name of its one label, where it has several values. */
  readonly label?: string
  /** The values by their label; under the empty label where there is none. */
  read(): Promise<ReadonlyMap<string, number>>
}

/** A gauge of one value; null where there is nothing to tell. */
export const singleGauge = (name: string, means: string, read: () => Promise<number | null>): Gauge => ({
  name,
  means,
  read: async () => {
    const value = await read()
    return new Map(value === null ? [] : [['', value]])
  },
})

/** The figures as text. */
export interface Exposition {
  readonly contentType: string
  /** Reads the gauges and renders them with everything that was counted. A gauge that cannot be read is left out. */
  expose(gauges: readonly Gauge[]): Promise<string>
}
