import { toEach, toEachAtOnce, within } from '../../ports/bounded.ts'
import type { Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Answered } from './answer.ts'
import { tryOpenCircuits } from './circuit/circuit.ts'
import { expireRequests } from './expire.ts'
import { findLost, lookAfter } from './look-after.ts'
import type { OpenRequest } from './order.ts'
import { atOnce, workOff, workOffAll } from './queue.ts'
import { toUnknownAfterRestore } from '../transitions.ts'
import { sendRequest } from './submit.ts'

/** What carries requests through their CAs. */
export interface Engine {
  /** Whether one more may be sent at once by this process; a CA that failed last time gets one at a time. */
  hasRoom(connection: string, isSuspect: boolean): boolean
  /**
   * Sends a request that was inserted as taken by `claim`. Resolves to null where the CA takes longer than a caller
   * waits; the work goes on.
   */
  send(request: OpenRequest, claim: string): Promise<Answered | null>
  /** Sends soon what waits for a connection. */
  wake(connection: string): void
  /** Sends what waits for a connection, and resolves when nothing is due any more. */
  workOff(connection: string): Promise<void>
  /** Everything that is due: circuits to try, requests to send, to ask about, and to take from workers that are gone. */
  run(): Promise<void>
  expire(): Promise<void>
  /** For an older copy of the data: what was under way may have come further since. */
  forgetProgress(): Command
}

const workOffAndLookAfter = (deps: EnrolmentDeps): Promise<void> =>
  toEachAtOnce([workOffAll, lookAfter], 2, (part) => part(deps))

export function createEngine(deps: EnrolmentDeps): Engine {
  const atCa = new Map<string, number>()
  const running = new Map<string, 'once' | 'again'>()

  const count = (connection: string, change: 1 | -1): void => {
    atCa.set(connection, (atCa.get(connection) ?? 0) + change)
  }

  const sendCounted = async (request: OpenRequest, claim: string): Promise<Answered> => {
    const { id } = request.connection
    count(id, 1)
    try {
      return await sendRequest(deps, request, claim)
    } finally {
      count(id, -1)
    }
  }

  /** One run a connection at a time; what is woken meanwhile goes round once more. */
  const wake = (connection: string): void => {
    if (running.has(connection)) {
      running.set(connection, 'again')
      return
    }
    running.set(connection, 'once')
    deps.background.run('requests-send', async () => {
      try {
        do {
          running.set(connection, 'once')
          await workOff(deps, connection)
        } while (running.get(connection) === 'again')
      } finally {
        running.delete(connection)
      }
    })
  }

  return {
    hasRoom: (connection, isSuspect) => (atCa.get(connection) ?? 0) < (isSuspect ? 1 : 2 * atOnce),
    send: async (request, claim) => {
      let isLate = false
      const work = sendCounted(request, claim)
      // Where the caller is gone, or has been answered, the work still has to be done, and its failure told.
      deps.background.run('requests-send', () =>
        work.then(
          () => undefined,
          (error: unknown) => {
            if (isLate) throw error
          },
        ),
      )
      const answered = await within(work, deps.patienceMilliseconds)
      isLate = answered === null
      return answered
    },
    wake,
    workOff: (connection) => workOff(deps, connection),
    run: async () => {
      // What is broken at one connection must not keep the others from what comes later.
      await toEach([tryOpenCircuits, findLost, workOffAndLookAfter], (part) => part(deps))
    },
    expire: () => expireRequests(deps),
    forgetProgress: () => toUnknownAfterRestore(deps.clock()),
  }
}
