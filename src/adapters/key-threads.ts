import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { DisclosedBytes, KeyProver, ProvedKey } from '../ports/key-prover.ts'

interface Waiting {
  readonly keys: readonly DisclosedBytes[]
  readonly resolve: (proved: ProvedKey) => void
  readonly reject: (error: unknown) => void
}

/** One core is for the main thread, and keys never take more than two. */
const mostThreads = Math.max(1, Math.min(2, availableParallelism() - 1))

/** A posted view takes its whole buffer along. */
const apart = ({ form, bytes }: DisclosedBytes): DisclosedBytes => ({ form, bytes: bytes.slice() })

/** Proves keys in threads of their own, which begin with the first key. Whoever asks keeps to the places. */
export class KeyThreads implements KeyProver {
  readonly places = 16
  readonly reservedPlaces = 4
  readonly #waiting: Waiting[] = []
  readonly #idle: Worker[] = []
  readonly #busy = new Map<Worker, Waiting>()

  prove(keys: readonly DisclosedBytes[]): Promise<ProvedKey> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ keys: keys.map(apart), resolve, reject })
      this.#next()
    })
  }

  /** Ends the threads. Keys that are waiting are not read. */
  async close(): Promise<void> {
    const threads = [...this.#idle, ...this.#busy.keys()]
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the service stops'))
    await Promise.all(threads.map((thread) => thread.terminate()))
  }

  #next(): void {
    if (this.#waiting.length === 0) return
    const thread = this.#idle.pop() ?? (this.#busy.size < mostThreads ? this.#start() : undefined)
    const job = thread === undefined ? undefined : this.#waiting.shift()
    if (thread === undefined || job === undefined) return
    this.#busy.set(thread, job)
    thread.postMessage(job.keys)
  }

  #start(): Worker {
    const thread = new Worker(new URL('../key-thread.ts', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
    })
    thread.unref()
    thread.on('message', (proved: ProvedKey) => {
      this.#busy.get(thread)?.resolve(proved)
      this.#busy.delete(thread)
      this.#idle.push(thread)
      this.#next()
    })
    thread.on('error', (error) => this.#busy.get(thread)?.reject(error))
    thread.on('exit', () => {
      this.#busy.get(thread)?.reject(new Error('the thread has ended'))
      this.#busy.delete(thread)
      const place = this.#idle.indexOf(thread)
      if (place >= 0) this.#idle.splice(place, 1)
      this.#next()
    })
    return thread
  }
}
