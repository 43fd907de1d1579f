import { faultsOfAll } from '../ports/authority.ts'
import { bodyBytes } from '../api/body-bytes.ts'
import {
  bearer,
  createRoute,
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
import type { Successor } from '../certificates/deps.ts'
import type { DirectoryDeps } from './deps.ts'
import { createAskerOf } from './asker.ts'
import { chooseMediaType, writeLookup } from './forms.ts'
import { createLookup } from './lookup.ts'
import { personalData } from './personal-data.ts'
import { publishCertificate, withdrawCertificate } from './publish.ts'
import { createReadyAnswers } from './ready-answers.ts'
import {
  dropPublications,
  dropPublicationsOfDevice,
  dropPublicationsOfMailbox,
  passOnPublication,
  readPublication,
  readPublicationFaults,
  readPublishedAmong,
  readWrongPublications,
} from './store.ts'
import { leaves, rowsLeft } from '../api/rows-left.ts'

export interface DirectoryRoom extends Room {
  /** The directory's part of the batch in which a mailbox ends for its subscriber. */
  onMailboxEnded(mailbox: string): Command[]
  /** The directory's part of the batch in which a device ends. */
  onDeviceEnded(device: string): Command[]
  onCertificatesEnded(certificates: readonly string[]): Command[]
  onCertificateSuperseded(old: string, successor: Successor): Promise<Command[]>
  publishedAmong(certificates: readonly string[]): Promise<ReadonlySet<string>>
}

const publishRoute = createRoute({
  operationId: 'publishCertificate',
  tags: ['Directory'],
  method: 'put',
  path: '/v1/certificates/{id}/publication',
  summary: 'Let others find a certificate',
  security: bearer,
  request: { params: idInPath, body: jsonBody(publicationRequest) },
  [leaves]: rowsLeft({
    act: { publications: 1, consent_records: 1, outgoing_mail: 1, audit_entries: 1, ready_answers: 4 },
  }),
  responses: {
    200: jsonAnswer('Published', ownCertificate),
    401: unauthorized,
    404: notFound,
    403: problemAnswer('The mailbox of the certificate is registered elsewhere now'),
    409: problemAnswer('The consent text has changed, or the certificate is not valid'),
  },
})

const withdrawRoute = createRoute({
  operationId: 'withdrawCertificate',
  tags: ['Directory'],
  method: 'delete',
  path: '/v1/certificates/{id}/publication',
  summary: 'Take a certificate out of the directory',
  security: bearer,
  request: { params: idInPath },
  [leaves]: rowsLeft({ act: { consent_records: 1, audit_entries: 1 } }),
  responses: { 204: { description: 'It is not published' }, 401: unauthorized, 404: notFound },
})

const lookupRoute = createRoute({
  operationId: 'lookUp',
  tags: ['Directory'],
  method: 'post',
  path: '/v1/lookups',
  summary: 'The certificates of exact addresses; each address asked for is logged',
  description:
    'Each distinct address counts once per UTC day and asker. The count is charged to the budgets of the asker and of ' +
    'the domain of their mailbox. With one address, the Accept header can ask for certificates only: ' +
    'application/pkix-cert is the newest one; application/x-pem-file is all of them without chains, newest first; ' +
    'application/pkcs7-mime is all of them with their chains (certs-only).',
  security: bearer,
  request: { body: jsonBody(lookupRequest, bodyBytes.lookup) },
  [leaves]: rowsLeft({ lookup: { query_log_recent: 1, lookup_payers: 1 } }),
  responses: {
    200: {
      description: 'One result per address, in the order of the question; or, for one address, its certificates',
      content: {
        'application/json': { schema: lookupAnswer },
        // A binary body has no schema in OpenAPI 3.1.
        'application/pkix-cert': {},
        'application/x-pem-file': {},
        'application/pkcs7-mime': {},
      },
    },
    401: unauthorized,
    403: problemAnswer('The caller has no mailbox any more'),
    404: problemAnswer('Nothing found, where another form than JSON was asked for'),
    406: problemAnswer('No form that the Accept header allows fits the question'),
    429: problemAnswer('More distinct addresses than are left for today; nothing was looked up'),
    503: problemAnswer('The lookup could not be logged'),
  },
})

/** The expiry job runs every minute. Until then, the lookup itself leaves out expired certificates. */
const expiryGraceMilliseconds = 3 * 60_000

/** The directory: publication by consent, and lookup by exact address. */
export function createDirectoryRoom(deps: DirectoryDeps): DirectoryRoom {
  const routes = createRoutes()
  const ready = createReadyAnswers(deps)
  const lookup = createLookup(deps, ready)
  const askerOf = createAskerOf(deps)

  routes.openapi(publishRoute, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    const { id } = context.req.valid('param')
    return context.json(await publishCertificate({ ...deps, ready }, caller, id, context.req.valid('json')), 200)
  })

  routes.openapi(withdrawRoute, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    await withdrawCertificate({ ...deps, ready }, caller, context.req.valid('param').id)
    return context.body(null, 204)
  })

  // The answer is ready text or bytes, so this route is not a typed one.
  const anyone = deps.directoryAccess === 'public'
  routes.openAPIRegistry.registerPath({ ...lookupRoute, security: anyone ? [...bearer, {}] : bearer })
  routes.use(lookupRoute.path, async (context, next) => {
    context.header('Vary', 'Accept', { append: true })
    await next()
    // A refusal is a new response, so it lacks the header set before. To change the headers of other responses is slow.
    if (context.error !== undefined) context.header('Vary', 'Accept', { append: true })
  })
  routes.post(lookupRoute.path, async (context) => {
    const asker = await askerOf(context)
    const question = lookupRequest.safeParse(await readJson(context))
    if (!question.success) throw new DomainError('invalid_request', describeFault(question.error))
    const mediaType = chooseMediaType(context, question.data.addresses.length)
    const { body, contentType } = writeLookup(mediaType, await lookup(asker, question.data))
    return context.body(body, 200, { 'Content-Type': contentType })
  })

  return {
    onMailboxEnded: (mailbox) => [dropPublicationsOfMailbox(mailbox)],
    onDeviceEnded: (device) => [dropPublicationsOfDevice(device)],
    onCertificatesEnded: (certificates) => [dropPublications(certificates)],
    onCertificateSuperseded: async (old, successor) =>
      passOnPublication(deps.keys, old, await readPublication(deps.database, old), successor),
    publishedAmong: async (certificates) => {
      const rows = await readPublishedAmong(deps.database, certificates)
      return new Set(rows.map((row) => row.certificate))
    },
    routes: [routes],
    jobs: [ready.job],
    personalData,
    checks: [
      ready.check,
      {
        name: 'nobody else has written publications',
        run: () => faultsOfAll((after, limit) => readPublicationFaults(deps, after, limit)),
      },
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
