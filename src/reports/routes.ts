import {
  bearer,
  createRoute,
  createRoutes,
  deviceCaller,
  jsonAnswer,
  jsonBody,
  problemAnswer,
  unauthorized,
  type AuthenticateDevice,
  type DeviceCaller,
} from '../api/room.ts'
import { checkInAnswer, deviceFacts } from '../api/shapes.ts'
import { recordCheckIn, type CheckInDeps } from './check-in.ts'
import { leaves, rowsLeft } from '../api/rows-left.ts'

interface Renewals {
  readonly renew: string[]
  readonly renewNow: string[]
  readonly until: number
}

export interface ReportsRouteDeps extends CheckInDeps {
  readonly authenticate: AuthenticateDevice
  /** The certificates of a device that are due for renewal, those that expire soon, and until when this holds. */
  readonly certificatesToRenew: (device: string) => Promise<Renewals>
}

const secondsBetweenCheckIns = 300

const checkInRoute = createRoute({
  operationId: 'checkIn',
  tags: ['Devices'],
  method: 'post',
  path: '/v1/check-ins',
  summary: 'Report this device at its start and every five minutes',
  description:
    'Only the latest report of a device is kept, with its hour. `renew` lists the certificates of this device that ' +
    'have less than a third of their lifetime left, at most 30 days before they expire. `renewNow` lists those of them ' +
    'with less than a twelfth, at most 7 days. Only an Android device sends its `serialNumber`; all others send null.',
  security: bearer,
  request: { body: jsonBody(deviceFacts) },
  [leaves]: rowsLeft({ check_in: { check_ins: 1 } }),
  responses: {
    200: jsonAnswer('When to report next, and what to renew', checkInAnswer),
    401: unauthorized,
    422: problemAnswer('A field is refused'),
    503: problemAnswer('The report cannot be kept now; see Retry-After'),
  },
})

export function reportsRoutes(deps: ReportsRouteDeps) {
  const routes = createRoutes()
  // A caller is a new object as soon as one of their certificates changes.
  const remembered = new WeakMap<DeviceCaller, Renewals>()
  const renewalsOf = async (caller: DeviceCaller): Promise<Renewals> => {
    const known = remembered.get(caller)
    if (known !== undefined && deps.clock() < known.until) return known
    const renewals = await deps.certificatesToRenew(caller.deviceId)
    remembered.set(caller, renewals)
    return renewals
  }

  routes.openapi(checkInRoute, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    await recordCheckIn(deps, caller, context.req.valid('json'))
    const { renew, renewNow } = await renewalsOf(caller)
    return context.json({ nextInSeconds: secondsBetweenCheckIns, renew, renewNow }, 200)
  })
  return routes
}
