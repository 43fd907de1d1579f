import type { Database } from '../ports/database.ts'
import { readCallerChanges, readLastCallerChange } from './device/store.ts'

/** Past this many the one that came first is forgotten. */
const mostRemembered = 50_000
/** Of a process that is further behind everything is forgotten. */
const mostChangesRead = 1_000

/** What is remembered under the hash of a credential. */
export interface Remembered {
  readonly credential: string
  readonly subscriber: string
}

/**
 * Remembers callers by their credentials, in memory. Every process that changes what recognises a caller leaves the
 * subscriber in `caller_changes`, and they are forgotten here before the next call. Where the engine cannot tell that
 * something was written, nothing is remembered.
 */
export class RememberedCallers<Known extends Remembered> {
  readonly #database: Database
  readonly #byCredential = new Map<string, Known>()
  readonly #bySubscriber = new Map<string, Known[]>()
  /** The database's stamp when the changes were read last; null before. */
  #stamp: number | null = null
  /** The last change that is known here; null before the first look. */
  #position: number | null = null

  constructor(database: Database) {
    this.#database = database
  }

  /** Whether nothing was written since the last `catchUp`. */
  isCurrent(): boolean {
    return this.#stamp !== null && this.#stamp === this.#database.changeStamp()
  }

  /** Forgets those whose rows have changed. */
  async catchUp(): Promise<void> {
    const stamp = this.#database.changeStamp()
    if (stamp === null) return
    if (!(await this.#applyChanges())) {
      const last = await readLastCallerChange(this.#database)
      this.#byCredential.clear()
      this.#bySubscriber.clear()
      this.#position = last?.number ?? 0
    }
    this.#stamp = stamp
  }

  /** Where the memory stands: what is read from now on may be remembered, as long as nothing was forgotten meanwhile. */
  get position(): number | null {
    return this.#stamp === null ? null : this.#position
  }

  get(credential: string): Known | undefined {
    return this.#byCredential.get(credential)
  }

  /** Remembers what was read when the memory stood at `position`. */
  set(position: number | null, known: Known): void {
    if (position === null || position !== this.#position) return
    const before = this.#byCredential.get(known.credential)
    if (before !== undefined) this.#forget(before)
    const [oldest] = this.#byCredential.size < mostRemembered ? [] : this.#byCredential.values()
    if (oldest !== undefined) this.#forget(oldest)
    this.#byCredential.set(known.credential, known)
    const others = this.#bySubscriber.get(known.subscriber)
    if (others === undefined) this.#bySubscriber.set(known.subscriber, [known])
    else others.push(known)
  }

  /** False where it cannot be told what has changed. */
  async #applyChanges(): Promise<boolean> {
    const position = this.#position
    if (position === null) return false
    const changes = await readCallerChanges(this.#database, position, mostChangesRead)
    // The one that is known already says that none behind it was pruned.
    const whole = position === 0 ? changes.length === 0 || changes[0]?.number === 1 : changes[0]?.number === position
    if (!whole || changes.length === mostChangesRead) return false
    for (const { number, subscriber } of changes) {
      if (number > position) for (const known of this.#bySubscriber.get(subscriber) ?? []) this.#drop(known)
      if (number > position) this.#bySubscriber.delete(subscriber)
    }
    this.#position = Math.max(this.#position ?? 0, changes.at(-1)?.number ?? 0)
    return true
  }

  #drop(known: Known): void {
    this.#byCredential.delete(known.credential)
  }

  #forget(known: Known): void {
    this.#drop(known)
    const left = this.#bySubscriber.get(known.subscriber)?.filter((other) => other !== known) ?? []
    if (left.length === 0) this.#bySubscriber.delete(known.subscriber)
    else this.#bySubscriber.set(known.subscriber, left)
  }
}
