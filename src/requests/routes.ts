import { bodyBytes, bodyBytesName } from '../api/body-bytes.ts'
import { z } from '@hono/zod-openapi'
import type { Context } from 'hono'
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
  timestamp,
  unauthorized,
  type DeviceCaller,
} from '../api/room.ts'
import {
  certificateRequest,
  certificateRequestAnswer,
  certificateUse,
  pageOf,
  keyChallengeAnswer,
  pageQuery,
  proofRequest,
  publicKeyRequest,
} from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { RequestDeps } from './deps.ts'
import { pageFrom, readCursor } from '../api/paging.ts'
import type { Engine } from './engine/engine.ts'
import { askAgainSeconds, createRequestPresenter, type PresentDeps } from './present.ts'
import { challengeKey, takeProof, type ChallengeDeps } from '../certificates/keys/challenge.ts'
import { readProof, readPublicKey } from '../certificates/keys/read.ts'
import type { ChallengeRow } from '../certificates/keys/store.ts'
import { checkBareKey } from './proved-key.ts'
import { cancelOwnRequest } from './cancel.ts'
import {
  certifyKey,
  mailboxEnded,
  requestCertificate,
  type AskedByCsr,
  type IntakeDeps,
  type IntakeResult,
} from './intake.ts'
import { readRequest, readRequestsOf, type RequestRow } from './store.ts'
import { payForAct } from '../registration/act-budget.ts'
import { leaves, rowsLeft } from '../api/rows-left.ts'

const derOrPem = {
  'application/pkcs10': { schema: z.string().meta({ format: 'binary' }) },
  'application/x-pem-file': { schema: z.string() },
}

const tooMany = problemAnswer('Too many requests within a day, or too many of this device without an outcome')

/** A request, its certificate, and what follows from both until it ends. */
const rowsOfRequest = {
  certificate_requests: 1,
  certificates: 1,
  certificate_statuses: 1,
  outgoing_mail: 2,
  mailbox_challenges: 1,
  audit_entries: 3,
  audit_private: 2,
  caller_changes: 2,
}

const requestRoute = createRoute({
  operationId: 'requestCertificate',
  tags: ['Certificate requests'],
  method: 'post',
  path: '/v1/certificate-requests',
  summary: 'Have a key certified by its CSR',
  security: bearer,
  request: {
    query: z.object({ use: certificateUse.optional(), mailbox: z.string().max(1_000).optional() }),
    body: {
      [bodyBytesName]: bodyBytes.certificateRequest,
      content: { 'application/json': { schema: certificateRequest }, ...derOrPem },
    },
  },
  [leaves]: rowsLeft({ certificate_request: rowsOfRequest }),
  responses: {
    200: jsonAnswer('The same request as before', certificateRequestAnswer),
    201: jsonAnswer('Issued', certificateRequestAnswer),
    202: jsonAnswer('Under way: ask again at Location', certificateRequestAnswer),
    401: unauthorized,
    409: problemAnswer('The key cannot be used again'),
    415: problemAnswer('Send JSON, application/pkcs10 or application/x-pem-file'),
    422: problemAnswer('The request or its key is refused'),
    429: tooMany,
  },
})

const publicKeyRoute = createRoute({
  operationId: 'submitPublicKey',
  tags: ['Certificate requests'],
  method: 'post',
  path: '/v1/public-keys',
  summary: 'Have a bare public key certified: get a challenge that only its holder can answer',
  security: bearer,
  request: { body: jsonBody(publicKeyRequest, bodyBytes.key) },
  [leaves]: rowsLeft({ act: { key_challenges: 1 } }),
  responses: {
    201: jsonAnswer('The challenge', keyChallengeAnswer),
    401: unauthorized,
    422: problemAnswer('The key is refused'),
  },
})

const publicKeyProofRoute = createRoute({
  operationId: 'provePublicKey',
  tags: ['Certificate requests'],
  method: 'post',
  path: '/v1/public-keys/{id}/proof',
  summary: 'Answer the challenge, and have the key certified',
  security: bearer,
  request: { params: idInPath, body: jsonBody(proofRequest) },
  [leaves]: rowsLeft({ certificate_request: rowsOfRequest }),
  responses: {
    200: jsonAnswer('The same request as before', certificateRequestAnswer),
    201: jsonAnswer('Issued', certificateRequestAnswer),
    202: jsonAnswer('Under way: ask again at Location', certificateRequestAnswer),
    401: unauthorized,
    403: problemAnswer('The proof is wrong'),
    409: problemAnswer('The key cannot be used again'),
    410: problemAnswer('The challenge was used, has expired, or is not yours'),
    429: tooMany,
  },
})

const requestsRoute = createRoute({
  operationId: 'listCertificateRequests',
  tags: ['Certificate requests'],
  method: 'get',
  path: '/v1/certificate-requests',
  summary: 'Your certificate requests, newest first',
  security: bearer,
  request: { query: pageQuery },
  responses: { 200: jsonAnswer('One page', pageOf(certificateRequestAnswer)), 401: unauthorized },
})

const oneRequestRoute = createRoute({
  operationId: 'getCertificateRequest',
  tags: ['Certificate requests'],
  method: 'get',
  path: '/v1/certificate-requests/{id}',
  summary: 'One certificate request',
  security: bearer,
  request: { params: idInPath },
  responses: {
    200: jsonAnswer('The request; while it is under way, Retry-After says when to ask again', certificateRequestAnswer),
    401: unauthorized,
    404: notFound,
  },
})

const cancelRoute = createRoute({
  operationId: 'cancelCertificateRequest',
  tags: ['Certificate requests'],
  method: 'delete',
  path: '/v1/certificate-requests/{id}',
  summary: 'Cancel a certificate request; if the CA still issues a certificate for it, that is revoked',
  security: bearer,
  request: { params: idInPath },
  [leaves]: rowsLeft({ certificate_request: { audit_entries: 1 } }),
  responses: {
    204: { description: 'It is cancelled' },
    401: unauthorized,
    404: notFound,
    409: problemAnswer('It has an outcome, or is being sent to the CA: ask again in a moment'),
  },
})

/** Certificate requests of the caller: by CSR, and by a bare public key with a proof. */
export function ownRequestRoutes(deps: IntakeDeps & PresentDeps & ChallengeDeps, engine: Engine) {
  const routes = createRoutes()
  const { authenticate } = deps.registration

  const presentRequest = createRequestPresenter(deps)

  const sayWhenToAskAgain = (context: Context, row: RequestRow): void => {
    const seconds = askAgainSeconds(row, deps.clock())
    if (seconds !== null) context.header('Retry-After', String(seconds))
  }

  /** The answer about a request: issued, a repeat, or under way. */
  const answerRequest = async (
    context: Context,
    caller: DeviceCaller,
    { row, mailbox, created, certificate }: IntakeResult,
  ) => {
    const answer = await presentRequest(row, { caller, address: mailbox.address }, certificate)
    if (answer.state === 'issued') return context.json(answer, created ? 201 : 200)
    context.header('Location', `/v1/certificate-requests/${row.id}`)
    sayWhenToAskAgain(context, row)
    return context.json(answer, created ? 202 : 200)
  }

  const addressesOf = async (subscriber: string): Promise<(mailbox: string) => string> => {
    const mailboxes = await deps.registration.mailboxesOf(subscriber)
    return (id) => mailboxes.find((mailbox) => mailbox.id === id)?.address ?? ''
  }

  routes.openapi(requestsRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const { limit, cursor } = context.req.valid('query')
    const rows = await readRequestsOf(deps.database, caller.subscriberId, readCursor(cursor), limit + 1)
    const page = pageFrom(rows, limit)
    const addressOf = await addressesOf(caller.subscriberId)
    const items = await Promise.all(
      page.rows.map((row) => presentRequest(row, { caller, address: addressOf(row.mailbox) })),
    )
    return context.json({ items, next: page.next }, 200)
  })

  routes.openapi(oneRequestRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const row = await readRequest(deps.database, context.req.valid('param').id)
    if (row?.subscriber !== caller.subscriberId) throw new DomainError('not_found', 'You have no such request.')
    const addressOf = await addressesOf(caller.subscriberId)
    sayWhenToAskAgain(context, row)
    return context.json(await presentRequest(row, { caller, address: addressOf(row.mailbox) }), 200)
  })

  routes.openapi(cancelRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    await cancelOwnRequest(deps, caller, context.req.valid('param').id)
    return context.body(null, 204)
  })

  routes.openapi(requestRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const asked = await readAsked(context.req.raw.headers.get('Content-Type') ?? '', caller, {
      query: context.req.valid('query'),
      json: () => context.req.valid('json'),
      text: () => context.req.text(),
      bytes: async () => new Uint8Array(await context.req.arrayBuffer()),
    })
    const answered = await requestCertificate(deps, engine, asked)
    return answerRequest(context, caller, answered)
  })

  routes.openapi(publicKeyRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const { publicKey, use, mailbox: named } = context.req.valid('json')
    const mailbox = await deps.registration.chooseMailbox(caller.subscriberId, named)
    const bareKey = await checkBareKey(deps, readPublicKey(publicKey), { mailbox, use })
    const binding = {
      purpose: 'possession',
      subscriber: caller.subscriberId,
      device: caller.deviceId,
      mailbox: mailbox.id,
      use,
    } as const
    const made = await challengeKey(deps, bareKey, binding, payForAct(deps.clock, caller.subscriberId))
    return context.json({ ...made, expiresAt: timestamp(made.expiresAt) }, 201)
  })

  routes.openapi(publicKeyProofRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const belongs = (row: ChallengeRow): boolean => row.purpose === 'possession' && row.device === caller.deviceId
    const row = await takeProof(
      deps,
      context.req.valid('param').id,
      belongs,
      readProof(context.req.valid('json').proof),
    )
    if (row.use === null) throw new Error('a challenge to certify a key has a use')
    const mailbox = await mailboxOf(deps, caller, row.mailbox)
    const proved = await checkBareKey(deps, row.spki, { mailbox, use: row.use })
    const answered = await certifyKey(deps, engine, { caller, mailbox, use: row.use, proved })
    return answerRequest(context, caller, answered)
  })

  return routes
}

/** The mailbox of a challenge. Throws `mailbox_not_yours`, or `mailbox_moved` if it has moved meanwhile. */
async function mailboxOf(
  deps: Pick<RequestDeps, 'registration'>,
  caller: DeviceCaller,
  id: string | null,
): Promise<OwnMailbox> {
  const mailboxes = await deps.registration.mailboxesOf(caller.subscriberId)
  const mailbox = mailboxes.find((candidate) => candidate.id === id)
  if (mailbox === undefined) throw mailboxEnded('removed')
  if (mailbox.state !== 'active') throw mailboxEnded(mailbox.state)
  return mailbox
}

interface RequestBody {
  readonly query: { readonly use?: z.infer<typeof certificateUse> | undefined; readonly mailbox?: string | undefined }
  json(): z.infer<typeof certificateRequest> | string
  text(): Promise<string>
  bytes(): Promise<Uint8Array>
}

/** Reads a request in any of its three forms. */
async function readAsked(contentType: string, caller: DeviceCaller, body: RequestBody): Promise<AskedByCsr> {
  const mediaType = contentType.split(';')[0]?.trim().toLowerCase()
  if (mediaType === 'application/json') {
    const { csr, use, mailbox } = certificateRequest.parse(body.json())
    return { caller, csr, use, mailbox }
  }
  if (mediaType !== 'application/pkcs10' && mediaType !== 'application/x-pem-file') {
    throw new DomainError(
      'unsupported_media_type',
      'Send JSON, DER as application/pkcs10, or PEM as application/x-pem-file with ?use= (and &mailbox=).',
    )
  }
  const { use, mailbox } = body.query
  if (use === undefined) throw new DomainError('invalid_request', 'use: say sign, encrypt or dual in the query.')
  const csr = mediaType === 'application/pkcs10' ? await body.bytes() : await body.text()
  return { caller, csr, use, mailbox }
}
