import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { TurnClock } from './turns.ts'

const resolution = 10
const nanosecondsPerMillisecond = 1_000_000

/** The clock and the event loop of this process. */
export function turnClock(): TurnClock {
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  let lookedAt = performance.eventLoopUtilization()
  return {
    now: () => performance.now(),
    longestDelay: () => {
      // Each value is how long it took until a timer of the resolution ran.
      const longest = delays.max / nanosecondsPerMillisecond - resolution
      delays.reset()
      return longest
    },
    busyPart: () => {
      const before = lookedAt
      lookedAt = performance.eventLoopUtilization()
      return performance.eventLoopUtilization(lookedAt, before).utilization
    },
    later: (milliseconds, call) => void setTimeout(call, milliseconds).unref(),
    afterReading: (call) => void setImmediate(call),
  }
}
