import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { TurnClock } from './turns.ts'

const resolution = 10
const nanosecondsPerMillisecond = 1_000_000

/** A thread that has less of a core waits for the machine. To turn requests away would not make it faster. */
const ownPartOfDelays = 0.5

/** The clock and the event loop of this process. */
export function turnClock(): TurnClock {
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  let lookedAt = performance.eventLoopUtilization()
  let [delaysSince, used] = [performance.now(), process.threadCpuUsage()]
  return {
    now: () => performance.now(),
    longestDelay: () => {
      // Each value is how long it took until a timer of the resolution ran.
      const longest = delays.max / nanosecondsPerMillisecond - resolution
      delays.reset()
      const { user, system } = process.threadCpuUsage(used)
      const ownPart = (user + system) / 1_000 / (performance.now() - delaysSince)
      ;[delaysSince, used] = [performance.now(), process.threadCpuUsage()]
      return ownPart < ownPartOfDelays ? 0 : longest
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
