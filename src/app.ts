import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context, Env } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { routePath } from 'hono/route'
import { requireNoBody, requireSafeBody, wrongType } from './edge/body.ts'
import { requireSafeConnection } from './edge/connection.ts'
import { pagesMayCall } from './edge/cors.ts'
import { createFailureLog } from './edge/failures.ts'
import { limitRequestsAtOnce } from './edge/requests-at-once.ts'
import { documentedRoutes } from './api/body-bytes.ts'
import { mountReference } from './api/reference.ts'
import { DomainError } from './errors.ts'
import type { Events } from './events.ts'
import type { PrivateKeyFinding } from './pki/private-keys/detect.ts'
import type { Connection } from './ports/connection.ts'
import type { Database } from './ports/database.ts'
import type { Clock } from './ports/runtime.ts'
import { requireCurrentSchema, requireWritable, type DatabaseRole } from './ports/schema.ts'
import { documentedProblems, problemResponse } from './problem.ts'

export type ConnectionOf = (context: Context) => Connection

/**
 * What recognises the caller of a route by the `Authorization` header, before anything of a body is read. It rejects
 * where they may not call. Null where the route itself does that, or anyone may call.
 */
export type Admission = (
  route: Readonly<{ method: string; path: string; security: readonly object[] }>,
) => ((authorization: string | undefined, request: object) => Promise<void>) | null

interface AppParts {
  readonly routes: readonly OpenAPIHono[]
  readonly events: Events
  readonly clock: Clock
  readonly publicUrl: string
  /** The hosts under which CRLs, OCSP and CA certificates are answered over plain HTTP. */
  readonly plainPkiHosts: readonly string[]
  /** Web pages of these origins may call `/v1`. */
  readonly corsOrigins: readonly string[]
  readonly admission: Admission
  readonly connectionOf: ConnectionOf
  /** Of one network through a declared proxy. Null: whoever runs the service limits them. */
  readonly requestsAtOnce: number | null
  /** Told of a private key in a body; resolves to what became of it, in a word for the log. */
  readonly onPrivateKey: (finding: PrivateKeyFinding, network: string) => Promise<string>
  readonly databases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  readonly warnings: () => Promise<readonly string[]>
  /** Whether a caller is shown the warnings of `/readyz` in words. */
  readonly mayReadWarnings: (context: Context) => boolean
}

const keyNotRead = (): DomainError =>
  new DomainError('overloaded', 'The body holds a private key that could not be read and blocked now. Send it again.', {
    retryAfterSeconds: 5,
  })

/** Blocks a disclosed key. Throws `overloaded` if it must be sent again. If the block fails, the body is still refused. */
const onPrivateKey =
  (parts: AppParts) =>
  async (context: Context<Env>, finding: PrivateKeyFinding): Promise<void> => {
    let became = 'failed'
    try {
      became = await parts.onPrivateKey(finding, context.get('client').network)
    } catch (error) {
      parts.events.requestFailed({ method: context.req.method, route: routeOf(context), error })
    }
    parts.events.privateKeyRefused({ form: finding.form, became })
    if (became === 'busy') throw keyNotRead()
  }

/** What the router refuses by itself, as one of the closed set of codes. */
const toDomainError = (error: Error): Error => {
  if (!(error instanceof HTTPException)) return error
  if (error.status === 415) return wrongType()
  return error.status === 400 ? new DomainError('malformed_json', 'The body is not JSON.', { cause: error }) : error
}

/** Said to strangers: what warnings say of CAs, requests and failures is the operator's business. */
const warningsElsewhere =
  'Something is not as it should be: administrators read it at /v1/admin/overview, and this machine here.'

/** The pattern that a request matched, for the log: the path itself may hold whatever somebody typed. */
const routeOf = (context: Context<Env>): string => routePath(context, -1)

/** The path as it was sent, still encoded: RFC 9457 wants a URI reference. */
const instanceOf = (context: Context<Env>): string => new URL(context.req.url).pathname

/** The methods under which a path exists; empty where it does not exist at all. */
const methodsFor = (routes: readonly { method: string; pattern: RegExp }[], path: string): string[] => [
  ...new Set(routes.filter((route) => route.pattern.test(path)).map((route) => route.method)),
]

const lockedElsewhere = (role: DatabaseRole): string =>
  `Another process has the ${role} database locked: what writes there waits for it, for five seconds at most.`

/** All routes: the rooms' ones, those of the service as a whole, and the reference of the API. */
function routesOf(parts: AppParts): OpenAPIHono {
  const routes = new OpenAPIHono()
  routes.get('/healthz', (context) => context.json({ status: 'ok' }))
  routes.get('/readyz', async (context) => {
    const unusable: string[] = []
    const locked: string[] = []
    for (const { role, database } of parts.databases) {
      try {
        await requireCurrentSchema(role, database)
        if (!(await requireWritable(database))) locked.push(lockedElsewhere(role))
      } catch (error) {
        parts.events.requestFailed({ method: 'GET', route: '/readyz', error })
        unusable.push(role)
      }
    }
    const ready = unusable.length === 0
    const warnings = [...locked, ...(await parts.warnings())]
    const shown = warnings.length === 0 || parts.mayReadWarnings(context) ? warnings : [warningsElsewhere]
    return context.json({ status: ready ? 'ready' : 'not_ready', unusable, warnings: shown }, ready ? 200 : 503)
  })

  // For people who open the service in a browser; no call of the API, so it is not in its document.
  routes.get('/', (context) => context.redirect('/docs'))
  for (const room of parts.routes) routes.route('/', room)
  mountReference(routes, { publicUrl: parts.publicUrl, problems: documentedProblems })
  return routes
}

/**
 * Puts before every route who may call it, and what it takes of a body. So a body is read only where a route is for it,
 * no further than that route allows, and only from a caller who may send it. The route asks for the credential again:
 * bodies may take a minute, and a device may end meanwhile. Often called routes do so only where it took a second.
 */
function guardRoutes(app: OpenAPIHono, routes: OpenAPIHono, parts: AppParts): void {
  const documented = documentedRoutes(routes)
  const guard = { onPrivateKey: onPrivateKey(parts) }
  const guarded = new Set<string>()
  for (const { method, path } of routes.routes) {
    const name = `${method} ${path}`
    if (method === 'ALL' || guarded.has(name)) continue
    guarded.add(name)
    const route = documented.get(name)
    const most = route === undefined ? null : route.bodyBytes
    const admit = route === undefined || method === 'GET' ? null : parts.admission(route)
    if (admit !== null) {
      app.on(method, path, async (context, next) => {
        await admit(context.req.header('Authorization'), context)
        await next()
      })
    }
    app.on(method, path, most === null ? requireNoBody : requireSafeBody(most, guard))
  }
}

/** Mounts all routes behind the checks that every request takes, with one error handler. */
export function createApp(parts: AppParts): OpenAPIHono {
  const app = new OpenAPIHono()
  const known: { method: string; pattern: RegExp }[] = []

  const sayFailed = createFailureLog(parts)
  const stayWithTls = parts.publicUrl.startsWith('https:')
  app.use(async (context, next) => {
    const began = performance.now()
    const connection = parts.connectionOf(context)
    context.set('client', connection)
    context.set('connection', connection)
    context.header('Cache-Control', 'no-store')
    context.header('X-Content-Type-Options', 'nosniff')
    await next()
    // RFC 6797 7.2: over TLS only. Set on what is answered, so that refusals carry it too.
    if (stayWithTls && connection.tls) context.res.headers.set('Strict-Transport-Security', 'max-age=31536000')
    const { method } = context.req
    const seconds = (performance.now() - began) / 1_000
    parts.events.requestAnswered({ method, route: () => routeOf(context), status: context.res.status, seconds })
  })
  app.use(async (context, next) => {
    requireSafeConnection(context, context.get('connection'), parts.plainPkiHosts)
    await next()
  })
  if (parts.requestsAtOnce !== null) app.use(limitRequestsAtOnce(parts.requestsAtOnce))
  if (parts.corsOrigins.length > 0) app.use(pagesMayCall(parts.corsOrigins))
  const routes = routesOf(parts)
  guardRoutes(app, routes, parts)
  app.route('/', routes)

  for (const { method, path } of routes.routes) {
    if (method === 'ALL') continue
    known.push({
      method,
      pattern: new RegExp(`^${path.replaceAll(/:[^/]+/g, '[^/]+').replaceAll('.', String.raw`\.`)}$`),
    })
  }

  app.notFound((context) => {
    const instance = instanceOf(context)
    const methods = methodsFor(known, context.req.path)
    // A path whose pattern has this very method was looked for there, and what it names does not exist.
    if (methods.length === 0 || methods.includes(context.req.method)) {
      return problemResponse(
        new DomainError('not_found', 'There is nothing here. GET /openapi.json lists what is.'),
        instance,
      )
    }
    const allow = methods.join(', ')
    const answer = problemResponse(new DomainError('method_not_allowed', `This path takes ${allow}.`), instance)
    answer.headers.set('Allow', allow)
    return answer
  })

  app.onError((error, context) => {
    const answer = problemResponse(toDomainError(error), instanceOf(context))
    const { status } = answer
    if (status >= 500) sayFailed({ method: context.req.method, route: routeOf(context), status, error })
    return answer
  })
  return app
}
