import {
  bearer,
  createRoute,
  createRoutes,
  deviceCaller,
  idInPath,
  jsonAnswer,
  notFound,
  problemAnswer,
  unauthorized,
  type AuthenticateDevice,
} from '../../api/room.ts'
import { ownDevice, pageOf, pageQuery, rotatedCredential } from '../../api/shapes.ts'
import type { RegistrationDeps } from '../deps.ts'
import { approveDevice, devicesOf, removeDevice, rotateCredential } from './devices.ts'
import { leaves, rowsLeft } from '../../api/rows-left.ts'

const proofRequired = problemAnswer('This device has proved no mailbox for it within 15 minutes')

const devicesRoute = createRoute({
  operationId: 'listDevices',
  tags: ['Devices'],
  method: 'get',
  path: '/v1/me/devices',
  summary: 'Your devices, newest first; devices that wait for approval come first',
  security: bearer,
  request: { query: pageQuery },
  responses: { 200: jsonAnswer('One page', pageOf(ownDevice)), 401: unauthorized },
})

const approveRoute = createRoute({
  operationId: 'approveDevice',
  tags: ['Devices'],
  method: 'post',
  path: '/v1/me/devices/{id}/approval',
  summary: 'Approve a device that waits for it',
  security: bearer,
  request: { params: idInPath },
  [leaves]: rowsLeft({ registration: { audit_entries: 1 } }),
  responses: { 200: jsonAnswer('The device', ownDevice), 401: unauthorized, 403: proofRequired, 404: notFound },
})

const removeRoute = createRoute({
  operationId: 'removeDevice',
  tags: ['Devices'],
  method: 'delete',
  path: '/v1/me/devices/{id}',
  summary: 'End a device, its credential and its certificates, or refuse a device that waits for approval',
  security: bearer,
  request: { params: idInPath },
  [leaves]: rowsLeft({ registration: { audit_entries: 1, caller_changes: 2 } }),
  responses: {
    204: { description: 'It is none of yours any more' },
    401: unauthorized,
    403: proofRequired,
    404: notFound,
  },
})

const rotateRoute = createRoute({
  operationId: 'rotateCredential',
  tags: ['Devices'],
  method: 'post',
  path: '/v1/me/credential',
  summary: 'A new credential for this device; the old one works until the new one is used',
  security: bearer,
  [leaves]: rowsLeft({ act: { audit_entries: 2, caller_changes: 2 } }),
  responses: { 201: jsonAnswer('The credential, shown once', rotatedCredential), 401: unauthorized },
})

/** A subscriber's devices: list, approve, remove, and rotate the caller's own credential. */
export function deviceRoutes(deps: RegistrationDeps, authenticate: AuthenticateDevice) {
  const routes = createRoutes()

  routes.openapi(devicesRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    return context.json(await devicesOf(deps, caller, context.req.valid('query')), 200)
  })

  routes.openapi(approveRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    return context.json(await approveDevice(deps, caller, context.req.valid('param').id), 200)
  })

  routes.openapi(removeRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    await removeDevice(deps, caller, context.req.valid('param').id)
    return context.body(null, 204)
  })

  routes.openapi(rotateRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    return context.json({ credential: await rotateCredential(deps, caller) }, 201)
  })

  return routes
}
