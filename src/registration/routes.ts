import type { z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import {
  bearer,
  bearerToken,
  createRoute,
  createRoutes,
  describeFault,
  deviceCaller,
  idInPath,
  jsonAnswer,
  jsonBody,
  problemAnswer,
  readJson,
  timestamp,
  unauthorized,
  type AuthenticateDevice,
} from '../api/room.ts'
import {
  confirmationAnswer,
  confirmationRequest,
  credentialAnswer,
  credentialRequest,
  registrationAnswer,
  registrationRequest,
  registrationState,
  subscriberAnswer,
  subscriberChange,
} from '../api/shapes.ts'
import { workName } from '../api/work.ts'
import { DomainError } from '../errors.ts'
import { confirm, requireRegistration, stateOf } from './confirm.ts'
import type { RegistrationDeps } from './deps.ts'
import { mintCredential } from './mint.ts'
import { startRegistration } from './start.ts'
import { changeSubscriber, presentSubscriber } from './subscriber.ts'
import { leaves, rowsLeft } from '../api/rows-left.ts'

const startRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'startRegistration',
  tags: ['Registration'],
  method: 'post',
  path: '/v1/registrations',
  summary: 'Register a mailbox and this device',
  request: { body: jsonBody(registrationRequest) },
  [leaves]: rowsLeft({ registration: { registrations: 1, outgoing_mail: 1, audit_entries: 1 } }),
  responses: {
    202: jsonAnswer(
      'A mail is on its way, unless too many were sent to this address lately: then it is withheld, and the token comes with the next one',
      registrationAnswer,
    ),
    409: problemAnswer('The policy version is not in force'),
    422: problemAnswer('The address or a field is refused'),
    429: problemAnswer('This network has begun too many registrations lately'),
  },
})

const confirmRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'confirmRegistration',
  tags: ['Registration'],
  method: 'post',
  path: '/v1/registrations/{id}/confirmation',
  summary: 'Prove the mailbox with the mailed token',
  security: bearer,
  request: { params: idInPath, body: jsonBody(confirmationRequest) },
  [leaves]: rowsLeft({ registration: { audit_entries: 1 } }),
  responses: {
    200: jsonAnswer('Proved', confirmationAnswer),
    401: unauthorized,
    403: problemAnswer('The token is wrong'),
    410: problemAnswer('The registration has ended'),
  },
})

const stateRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'getRegistration',
  tags: ['Registration'],
  method: 'get',
  path: '/v1/registrations/{id}',
  summary: 'How far the registration is',
  security: bearer,
  request: { params: idInPath },
  responses: { 200: jsonAnswer('Its state', registrationState), 401: unauthorized },
})

const credentialRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'mintCredential',
  tags: ['Registration'],
  method: 'post',
  path: '/v1/registrations/{id}/credential',
  summary: 'Get the credential of this device, shown once',
  security: bearer,
  request: {
    params: idInPath,
    body: { ...jsonBody(credentialRequest), required: false },
  },
  [leaves]: rowsLeft({
    registration: {
      subscribers: 1,
      mailboxes: 1,
      devices: 1,
      consent_records: 1,
      outgoing_mail: 2,
      audit_entries: 1,
      audit_private: 1,
      caller_changes: 3,
    },
    act: { audit_entries: 1, caller_changes: 1 },
  }),
  responses: {
    201: jsonAnswer('The credential', credentialAnswer),
    401: unauthorized,
    409: problemAnswer('Not confirmed yet, not approved yet, or completed already'),
    410: problemAnswer('The registration has ended'),
  },
})

const meRoute = createRoute({
  operationId: 'getSubscriber',
  tags: ['Subscriber'],
  method: 'get',
  path: '/v1/me',
  summary: 'What is held about you as a subscriber',
  security: bearer,
  responses: { 200: jsonAnswer('You', subscriberAnswer), 401: unauthorized },
})

const changeRoute = createRoute({
  operationId: 'changeSubscriber',
  tags: ['Subscriber'],
  method: 'patch',
  path: '/v1/me',
  summary: 'Change the language of your notices',
  security: bearer,
  request: { body: jsonBody(subscriberChange) },
  [leaves]: rowsLeft({ act: { audit_entries: 1 } }),
  responses: { 200: jsonAnswer('You', subscriberAnswer), 401: unauthorized },
})

/** Registrations, and the subscriber that comes of one. */
export function registrationRoutes(deps: RegistrationDeps, authenticate: AuthenticateDevice) {
  const routes = createRoutes()
  const ownRegistration = (id: string, authorization: string | undefined) =>
    requireRegistration(deps, id, bearerToken(authorization))

  routes.openapi(startRoute, async (context) => {
    const started = await startRegistration(deps, context.get('client'), context.req.valid('json'))
    return context.json({ ...started, expiresAt: timestamp(started.expiresAt) }, 202)
  })

  routes.openapi(confirmRoute, async (context) => {
    const row = await ownRegistration(context.req.valid('param').id, context.req.header('Authorization'))
    await confirm(deps, row, context.req.valid('json').token)
    return context.json({ state: 'confirmed' as const }, 200)
  })

  routes.openapi(stateRoute, async (context) => {
    const row = await ownRegistration(context.req.valid('param').id, context.req.header('Authorization'))
    return context.json({ state: stateOf(row, deps.clock()) }, 200)
  })

  // The body is optional. A typed route could not tell a missing body from one of another type.
  routes.openAPIRegistry.registerPath(credentialRoute)
  routes.post(credentialRoute.getRoutingPath(), async (context) => {
    const path = idInPath.safeParse(context.req.param())
    if (!path.success) throw new DomainError('invalid_request', describeFault(path.error))
    const row = await ownRegistration(path.data.id, context.req.header('Authorization'))
    const { waitForApproval = false } = await readCredentialRequest(context)
    return context.json(await mintCredential(deps, row, waitForApproval), 201)
  })

  routes.openapi(meRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    return context.json(await presentSubscriber(deps, caller), 200)
  })

  routes.openapi(changeRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    await changeSubscriber(deps, caller, context.req.valid('json'))
    return context.json(await presentSubscriber(deps, caller), 200)
  })
  return routes
}

/** Throws `unsupported_media_type`, `malformed_json`, `invalid_request`. */
async function readCredentialRequest(context: Context): Promise<z.infer<typeof credentialRequest>> {
  if ((await context.req.text()) === '') return {}
  const request = credentialRequest.safeParse(await readJson(context))
  if (!request.success) throw new DomainError('invalid_request', describeFault(request.error))
  return request.data
}
