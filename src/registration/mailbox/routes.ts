import {
  bearer,
  createRoute,
  createRoutes,
  deviceCaller,
  idInPath,
  jsonAnswer,
  jsonBody,
  notFound,
  problemAnswer,
  unauthorized,
  type AuthenticateDevice,
} from '../../api/room.ts'
import { mailboxChallengeAnswer, mailboxProofRequest, mailboxRequest, ownMailbox } from '../../api/shapes.ts'
import type { RegistrationDeps } from '../deps.ts'
import { presentMailbox } from '../mailboxes.ts'
import { addMailbox, askForProof, endMailbox } from './change.ts'
import { presentChallenge } from './challenge.ts'
import { noSuchMailbox, proveMailbox } from './prove.ts'
import { leaves, rowsLeft } from '../../api/rows-left.ts'

const mailed = jsonAnswer(
  'A mail is on its way, unless too many were sent to this address lately: then it is withheld',
  mailboxChallengeAnswer,
)
const tooMany = problemAnswer('Too many proofs were asked for within the hour')

const addRoute = createRoute({
  operationId: 'addMailbox',
  tags: ['Mailboxes'],
  method: 'post',
  path: '/v1/me/mailboxes',
  summary: 'Add a mailbox: a token is mailed to it',
  security: bearer,
  request: { body: jsonBody(mailboxRequest) },
  [leaves]: rowsLeft({ mailbox_proof: { mailbox_challenges: 1, outgoing_mail: 1 } }),
  responses: {
    202: mailed,
    401: unauthorized,
    403: problemAnswer('This device has proved no mailbox for it within 15 minutes'),
    422: problemAnswer('The address is refused'),
    429: tooMany,
  },
})

const proofRoute = createRoute({
  operationId: 'proveMailbox',
  tags: ['Mailboxes'],
  method: 'post',
  path: '/v1/me/mailboxes/{id}/proof',
  summary: 'Have a token mailed to a mailbox or, with the token, prove that it is yours',
  security: bearer,
  request: { params: idInPath, body: jsonBody(mailboxProofRequest) },
  [leaves]: rowsLeft({
    mailbox_proof: { mailbox_challenges: 1, mailboxes: 1, outgoing_mail: 3, audit_entries: 2, caller_changes: 2 },
  }),
  responses: {
    200: jsonAnswer('Proved', ownMailbox),
    202: mailed,
    401: unauthorized,
    403: problemAnswer('The token is wrong'),
    404: notFound,
    410: problemAnswer('No token is waited for any more'),
    429: tooMany,
  },
})

const removeRoute = createRoute({
  operationId: 'removeMailbox',
  tags: ['Mailboxes'],
  method: 'delete',
  path: '/v1/me/mailboxes/{id}',
  summary: 'Remove a mailbox; its certificates leave the directory at once and are revoked',
  security: bearer,
  request: { params: idInPath },
  [leaves]: rowsLeft({ mailbox_proof: { audit_entries: 1, caller_changes: 1 } }),
  responses: {
    204: { description: 'It is none of yours any more' },
    401: unauthorized,
    403: problemAnswer('This device has proved no mailbox for it within 15 minutes, or it moved away'),
    404: notFound,
    409: problemAnswer('It is the last one'),
  },
})

/** A subscriber's mailboxes: add, prove, remove. */
export function mailboxRoutes(deps: RegistrationDeps, authenticate: AuthenticateDevice) {
  const routes = createRoutes()

  routes.openapi(addRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    return context.json(presentChallenge(await addMailbox(deps, caller, context.req.valid('json'))), 202)
  })

  routes.openapi(proofRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const { id } = context.req.valid('param')
    const { token, act = null } = context.req.valid('json')
    if (token === undefined) return context.json(presentChallenge(await askForProof(deps, caller, id, act)), 202)
    const [shown] = presentMailbox(await proveMailbox(deps, caller, id, token))
    if (shown === undefined) throw noSuchMailbox()
    return context.json(shown, 200)
  })

  routes.openapi(removeRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    await endMailbox(deps, caller, context.req.valid('param').id)
    return context.body(null, 204)
  })

  return routes
}
