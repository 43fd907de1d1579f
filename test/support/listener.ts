import { defaultLimits, type ListenerLimits, type ListenerOptions } from '../../src/adapters/http-listener.ts'
import { defaultTurnLimits, Turns, type TurnClock, type TurnLimits } from '../../src/adapters/turns.ts'
import { problemResponse } from '../../src/problem.ts'

/** Time that passes when a test says so, and an event loop as slow as it says. */
export class SetTurnClock implements TurnClock {
  delay = 0
  busy = 0
  #now = 0
  #later: { readonly at: number; readonly call: () => void }[] = []

  now(): number {
    return this.#now
  }

  longestDelay(): number {
    return this.delay
  }

  busyPart(): number {
    return this.busy
  }

  later(milliseconds: number, call: () => void): void {
    this.#later.push({ at: this.#now + milliseconds, call })
  }

  afterReading(call: () => void): void {
    setImmediate(call)
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds
    const due = this.#later.filter(({ at }) => at <= this.#now)
    this.#later = this.#later.filter(({ at }) => at > this.#now)
    for (const { call } of due) call()
  }
}

export const turnsOf = (limits: Partial<TurnLimits> = {}, clock: TurnClock = new SetTurnClock()): Turns =>
  new Turns({ ...defaultTurnLimits, ...limits }, clock)

/** What a listener on a free port takes. */
export const listenerOptions = (
  limits: Partial<ListenerLimits> = {},
  more: Partial<ListenerOptions> = {},
): ListenerOptions => ({
  host: '127.0.0.1',
  port: 0,
  portSetting: 'PORT',
  hostname: 'pki.example.com',
  tls: null,
  limits: { ...defaultLimits, ...limits },
  isProxy: () => false,
  networkBehind: (peer, header) => header('X-Forwarded-For') ?? peer,
  turns: turnsOf(),
  problemOf: problemResponse,
  ...more,
})
