import { createRoute } from '@hono/zod-openapi'
import {
  bearer,
  bearerToken,
  createRoutes,
  deviceCaller,
  idInPath,
  jsonAnswer,
  jsonBody,
  problemAnswer,
  timestamp,
  unauthorized,
  type AuthenticateDevice,
} from '../api/room.ts'
import {
  confirmationAnswer,
  confirmationRequest,
  credentialAnswer,
  registrationAnswer,
  registrationRequest,
  registrationState,
  subscriberAnswer,
} from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import { confirm, mintCredential, requireRegistration, stateOf } from './confirm.ts'
import type { RegistrationDeps } from './deps.ts'
import { mailboxesOf } from './mailboxes.ts'
import { startRegistration } from './start.ts'
import { readSubscriber } from './store.ts'

const startRoute = createRoute({
  method: 'post',
  path: '/v1/registrations',
  summary: 'Register a mailbox and this device',
  request: { body: jsonBody(registrationRequest) },
  responses: {
    202: jsonAnswer(
      'A mail is on its way, unless too many were sent to this address lately: then it is withheld',
      registrationAnswer,
    ),
    409: problemAnswer('The policy version is not in force'),
    422: problemAnswer('The address or a field is refused'),
  },
})

const confirmRoute = createRoute({
  method: 'post',
  path: '/v1/registrations/{id}/confirmation',
  summary: 'Prove the mailbox with the mailed token',
  security: bearer,
  request: { params: idInPath, body: jsonBody(confirmationRequest) },
  responses: {
    200: jsonAnswer('Proved', confirmationAnswer),
    401: unauthorized,
    403: problemAnswer('The token is wrong'),
    410: problemAnswer('The registration has ended'),
  },
})

const stateRoute = createRoute({
  method: 'get',
  path: '/v1/registrations/{id}',
  summary: 'How far the registration is',
  security: bearer,
  request: { params: idInPath },
  responses: { 200: jsonAnswer('Its state', registrationState), 401: unauthorized },
})

const credentialRoute = createRoute({
  method: 'post',
  path: '/v1/registrations/{id}/credential',
  summary: 'Get the credential of this device, shown once',
  security: bearer,
  request: { params: idInPath },
  responses: {
    201: jsonAnswer('The credential', credentialAnswer),
    401: unauthorized,
    409: problemAnswer('Not confirmed yet, or completed already'),
    410: problemAnswer('The registration has ended'),
  },
})

const meRoute = createRoute({
  method: 'get',
  path: '/v1/me',
  summary: 'What is held about you as a subscriber',
  security: bearer,
  responses: { 200: jsonAnswer('You', subscriberAnswer), 401: unauthorized },
})

export function registrationRoutes(deps: RegistrationDeps, authenticate: AuthenticateDevice) {
  const routes = createRoutes()
  const ownRegistration = (id: string, authorization: string | undefined) =>
    requireRegistration(deps, id, bearerToken(authorization))

  routes.openapi(startRoute, async (context) => {
    const started = await startRegistration(deps, context.req.valid('json'))
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

  routes.openapi(credentialRoute, async (context) => {
    const row = await ownRegistration(context.req.valid('param').id, context.req.header('Authorization'))
    return context.json(await mintCredential(deps, row), 201)
  })

  routes.openapi(meRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const subscriber = await readSubscriber(deps.database, caller.subscriberId)
    if (subscriber === null) throw new DomainError('not_found', 'There is no such subscriber.')
    const mailboxes = await mailboxesOf(deps, caller.subscriberId)
    return context.json(
      {
        subscriberId: subscriber.id,
        deviceId: caller.deviceId,
        language: subscriber.language,
        createdAt: timestamp(subscriber.createdAt),
        restricted: subscriber.restrictedAt !== null,
        mailboxes: mailboxes.map((mailbox) => ({
          id: mailbox.id,
          address: mailbox.address,
          accountType: mailbox.accountType,
          verifiedAt: timestamp(mailbox.verifiedAt),
          createdAt: timestamp(mailbox.createdAt),
        })),
      },
      200,
    )
  })
  return routes
}
