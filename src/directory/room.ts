import { createRoute } from '@hono/zod-openapi'
import {
  bearer,
  createRoutes,
  describeFault,
  deviceCaller,
  idInPath,
  jsonAnswer,
  jsonBody,
  notFound,
  problemAnswer,
  readJson,
  unauthorized,
  type Room,
} from '../api/room.ts'
import { lookupAnswer, lookupRequest, ownCertificate, publicationRequest } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { Command } from '../ports/database.ts'
import type { DirectoryDeps } from './deps.ts'
import { createLookup } from './lookup.ts'
import { personalData } from './personal-data.ts'
import { publishCertificate, withdrawCertificate } from './publish.ts'
import { dropPublications, passOnPublication, readPublishedAmong, readWrongPublications } from './store.ts'

export interface DirectoryRoom extends Room {
  onCertificatesEnded(certificates: readonly string[]): Command[]
  onCertificateSuperseded(old: string, successor: string): Command[]
  publishedAmong(certificates: readonly string[]): Promise<ReadonlySet<string>>
}

const publishRoute = createRoute({
  method: 'put',
  path: '/v1/certificates/{id}/publication',
  summary: 'Let others find a certificate',
  security: bearer,
  request: { params: idInPath, body: jsonBody(publicationRequest) },
  responses: {
    200: jsonAnswer('Published', ownCertificate),
    401: unauthorized,
    404: notFound,
    409: problemAnswer('The consent text has changed, or the certificate is not valid'),
  },
})

const withdrawRoute = createRoute({
  method: 'delete',
  path: '/v1/certificates/{id}/publication',
  summary: 'Take a certificate out of the directory',
  security: bearer,
  request: { params: idInPath },
  responses: { 204: { description: 'It is not published' }, 401: unauthorized, 404: notFound },
})

const lookupRoute = createRoute({
  method: 'post',
  path: '/v1/lookups',
  summary: 'The certificates of exact addresses; each address asked for is logged',
  security: bearer,
  request: { body: jsonBody(lookupRequest) },
  responses: {
    200: jsonAnswer('One result per address, in the order of the question', lookupAnswer),
    401: unauthorized,
    503: problemAnswer('The lookup could not be logged'),
  },
})

/** The expiry job runs every minute; until then the lookup itself leaves out what has run out. */
const expiryGraceMilliseconds = 3 * 60_000

/** The directory: publication by consent, and lookup by exact address. */
export function createDirectoryRoom(deps: DirectoryDeps): DirectoryRoom {
  const routes = createRoutes()
  const lookup = createLookup(deps)

  routes.openapi(publishRoute, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    const { id } = context.req.valid('param')
    return context.json(await publishCertificate(deps, caller, id, context.req.valid('json')), 200)
  })

  routes.openapi(withdrawRoute, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    await withdrawCertificate(deps, caller, context.req.valid('param').id)
    return context.body(null, 204)
  })

  // The answer is ready JSON, so the route stands beside its declaration instead of behind the typed one.
  routes.openAPIRegistry.registerPath(lookupRoute)
  routes.post(lookupRoute.path, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    const question = lookupRequest.safeParse(await readJson(context))
    if (!question.success) throw new DomainError('invalid_request', describeFault(question.error))
    return context.body(await lookup(caller, question.data), 200, { 'Content-Type': 'application/json' })
  })

  return {
    onCertificatesEnded: (certificates) => [dropPublications(certificates)],
    onCertificateSuperseded: (old, successor) => [passOnPublication(old, successor)],
    publishedAmong: async (certificates) => {
      const rows = await readPublishedAmong(deps.database, certificates)
      return new Set(rows.map((row) => row.certificate))
    },
    routes: [routes],
    jobs: [],
    personalData,
    checks: [
      {
        name: 'nothing published that is expired, ended or without consent',
        run: async () => {
          const wrong = await readWrongPublications(deps.database, deps.clock() - expiryGraceMilliseconds)
          return wrong.map((row) => `certificate ${row.certificate} (${row.state}) must not be published`)
        },
      },
    ],
  }
}
