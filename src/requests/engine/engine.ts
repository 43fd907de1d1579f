import { tryOpenCircuits } from '../../cas/circuit/circuit.ts'
import { toEach, toEachAtOnce, within } from '../../ports/bounded.ts'
import type { RequestDeps } from '../deps.ts'
import { expireRequests, expireUnproved } from './expire.ts'
import { findLost, followUp } from './follow-up.ts'
import type { RequestResult } from './keep.ts'
import type { HeldRequest } from './order.ts'
import { atOnce, continueProved, sendAllWaiting, sendWaiting } from './queue.ts'
import { sendRequest, type SendClaimedDeps } from './submit.ts'

/** Carries requests through their CAs. */
export interface Engine {
  /** Whether this process may send one more at once. A CA that failed last time gets one at a time. */
  hasRoom(connection: string, isSuspect: boolean): boolean
  /** Sends a request that is held. Null where the CA takes longer than a caller waits; the work goes on. */
  send(request: HeldRequest): Promise<RequestResult | null>
  /** Sends soon what waits for a connection. */
  wake(connection: string): void
  /** Does everything that is due: tries circuits, sends requests, asks about them, takes them from lost workers. */
  run(): Promise<void>
  /** Takes requests on whose mailbox has been proved. */
  continueProved(): Promise<void>
  /** Fails what nobody has answered in time. */
  expire(): Promise<void>
  /** Fails what waits for a proof of its mailbox that nobody gives. */
  expireUnproved(): Promise<void>
}

export type EngineDeps = SendClaimedDeps & Pick<RequestDeps, 'background' | 'patienceMilliseconds'>

const sendAndFollowUp = (deps: EngineDeps): Promise<void> =>
  toEachAtOnce([sendAllWaiting, followUp], 2, (part) => part(deps))

export function createEngine(deps: EngineDeps): Engine {
  const atCa = new Map<string, number>()
  const running = new Map<string, 'once' | 'again'>()

  const count = (connection: string, change: 1 | -1): void => {
    atCa.set(connection, (atCa.get(connection) ?? 0) + change)
  }

  const sendCounted = async (request: HeldRequest): Promise<RequestResult> => {
    const { id } = request.connection
    count(id, 1)
    try {
      return await sendRequest(deps, request)
    } finally {
      count(id, -1)
    }
  }

  /** One run a connection at a time. What is woken meanwhile goes round once more. */
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
          await sendWaiting(deps, connection)
        } while (running.get(connection) === 'again')
      } finally {
        running.delete(connection)
      }
    })
  }

  return {
    hasRoom: (connection, isSuspect) => (atCa.get(connection) ?? 0) < (isSuspect ? 1 : 2 * atOnce),
    send: async (request) => {
      let isLate = false
      const work = sendCounted(request)
      // Where the caller is gone, or has been answered, the work still has to be done, and its failure told.
      deps.background.run('requests-send', () =>
        work.then(
          () => undefined,
          (error: unknown) => {
            if (isLate) throw error
          },
        ),
      )
      const result = await within(work, deps.patienceMilliseconds)
      isLate = result === null
      return result
    },
    wake,
    run: async () => {
      // What is broken at one connection must not keep the others from what comes later.
      await toEach([tryOpenCircuits, findLost, sendAndFollowUp], (part) => part(deps))
    },
    continueProved: () => continueProved(deps),
    expire: () => expireRequests(deps),
    expireUnproved: () => expireUnproved(deps),
  }
}
