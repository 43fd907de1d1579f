/** The part of autocannon that the bench uses; the package ships no types. */
declare module 'autocannon' {
  interface LoadOptions {
    readonly url: string
    readonly connections: number
    /** Seconds. */
    readonly duration: number
    readonly method: 'POST'
    readonly headers: Readonly<Record<string, string>>
    /** Each connection sends these in turn, again and again. */
    readonly requests: readonly { readonly body: string }[]
  }

  export interface LoadResult {
    /** Seconds that the load lasted. */
    readonly duration: number
    readonly '2xx': number
    readonly non2xx: number
    readonly errors: number
    readonly latency: { readonly p50: number; readonly p99: number }
  }

  export default function autocannon(options: LoadOptions): Promise<LoadResult>
}
