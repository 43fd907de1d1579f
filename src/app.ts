import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context, Env } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { routePath } from 'hono/route'
import { keyCompromiseRequest } from './api/shapes.ts'
import { DomainError } from './errors.ts'
import type { Events } from './events.ts'
import { findPrivateKey, type PrivateKeyFinding } from './pki/private-keys/detect.ts'
import type { Database } from './ports/database.ts'
import { requireCurrentSchema, requireWritable, type DatabaseRole } from './ports/schema.ts'
import { problemResponse } from './problem.ts'

/** How a request reached the service, as far as the runtime can vouch for it. */
export interface Connection {
  /** TLS, or from this machine itself, or by a declared proxy that vouches for TLS. */
  readonly secure: boolean
  /** Whether forwarding headers of this peer may stand. */
  readonly mayForward: boolean
}
export type ConnectionOf = (context: Context) => Connection

interface AppParts {
  readonly routes: readonly OpenAPIHono[]
  readonly events: Events
  readonly publicUrl: string
  readonly pkiUrl: string
  readonly connectionOf: ConnectionOf
  /** Told of a private key in a body; resolves to what became of it, in a word for the log. */
  readonly onPrivateKey: (finding: PrivateKeyFinding) => Promise<string>
  readonly databases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  readonly warnings: readonly string[]
}

/** Larger than any CSR in JSON, smaller than a flood. */
const bodyBytesAllowed = 160 * 1_024

const forwardingHeaders = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip']

/**
 * What plain HTTP is for: revocation lists, OCSP and CA certificates, under the host that certificates name for them
 * (RFC 5280 4.2.1.13, RFC 6960 A.1). They are signed, and who fetches them may have no TLS yet.
 */
const isPkiRequest = (context: Context<Env>, pkiHost: string): boolean =>
  /^\/(ca|ocsp)\//.test(context.req.path) && new URL(context.req.url).host === pkiHost

const requireSafeConnection = (context: Context<Env>, connection: Connection, pkiHost: string): void => {
  if (!connection.mayForward && forwardingHeaders.some((name) => context.req.header(name) !== undefined)) {
    throw new DomainError('forwarding_refused', 'Name the proxy in TRUSTED_PROXY, or do not send forwarding headers.')
  }
  if (!connection.secure && !isPkiRequest(context, pkiHost)) {
    throw new DomainError(
      'https_required',
      'Ask again over https:. What was sent has crossed the network in the clear.',
    )
  }
}

const wrongType = (): DomainError =>
  new DomainError('unsupported_media_type', 'Send application/json; a CSR may come as application/pkcs10 too.')

const tooLarge = (): DomainError => new DomainError('payload_too_large', `Send at most ${bodyBytesAllowed} bytes.`)

const limitStream = bodyLimit({
  maxSize: bodyBytesAllowed,
  onError: () => {
    throw tooLarge()
  },
})

const bodyTypes = /^application\/(json|pkcs10|x-pem-file|ocsp-request)\s*(;|$)/i

const contentType = (context: Context<Env>): string => context.req.header('Content-Type') ?? ''

/** The one field in which a private key is not refused: who reports a key as compromised may send it. */
const isCompromiseReport = (context: Context<Env>, body: Uint8Array): boolean => {
  if (context.req.path !== '/v1/key-compromise') return false
  try {
    const report = keyCompromiseRequest.safeParse(JSON.parse(new TextDecoder().decode(body)))
    return report.success && 'privateKey' in report.data
  } catch {
    return false
  }
}

const privateKeyRefused = (): DomainError =>
  new DomainError(
    'private_key_refused',
    'The body holds a private key. It was not stored, but treat the key as disclosed: make a new one, and send only a CSR.',
  )

/** Refuses a body with a private key, in whatever form, before anything else looks at it. */
async function requireNoPrivateKey(context: Context<Env>, body: Uint8Array, parts: AppParts): Promise<void> {
  const finding = findPrivateKey(body)
  if (finding === null || isCompromiseReport(context, body)) return
  let became = 'failed'
  try {
    became = await parts.onPrivateKey(finding)
  } catch (error) {
    parts.events.requestFailed({ method: context.req.method, route: routeOf(context), error })
  }
  parts.events.privateKeyRefused({ form: finding.form, became })
  throw privateKeyRefused()
}

/**
 * What is refused of a body before anything reads it: its size, a private key in it, and its type. The bytes are read
 * once; what later readers ask for is made of them.
 */
const requireSafeBody =
  (parts: AppParts) =>
  async (context: Context<Env, string>, next: () => Promise<void>): Promise<Response | void> => {
    const length = context.req.header('Content-Length')
    const inspect = async (): Promise<void> => {
      const body = new Uint8Array(await context.req.arrayBuffer())
      if (body.length > 0) {
        await requireNoPrivateKey(context, body, parts)
        // OCSP says by its own statuses what is wrong with a request.
        if (!bodyTypes.test(contentType(context)) && !context.req.path.startsWith('/ocsp/')) throw wrongType()
      }
      await next()
    }
    // HTTP/2 has no Transfer-Encoding, so without a length only the body itself tells whether there is one.
    const streamed = length === undefined || context.req.header('Transfer-Encoding') !== undefined
    if (streamed) return limitStream(context, inspect)
    if (Number(length) > bodyBytesAllowed) throw tooLarge()
    return inspect()
  }

/** What the router refuses by itself, as one of the closed set of codes. */
const toDomainError = (error: Error): Error => {
  if (!(error instanceof HTTPException)) return error
  if (error.status === 415) return wrongType()
  return error.status === 400 ? new DomainError('malformed_json', 'The body is not JSON.', { cause: error }) : error
}

/** The pattern that a request matched, for the log: the path itself may hold whatever somebody typed. */
const routeOf = (context: Context<Env>): string => routePath(context, -1)

/** The path as it was sent, still encoded: RFC 9457 wants a URI reference. */
const instanceOf = (context: Context<Env>): string => new URL(context.req.url).pathname

/** The methods under which a path exists; empty where it does not exist at all. */
const methodsFor = (routes: readonly { method: string; pattern: RegExp }[], path: string): string[] => [
  ...new Set(routes.filter((route) => route.pattern.test(path)).map((route) => route.method)),
]

const documentInfo = {
  openapi: '3.1.0',
  info: {
    title: 'certbook',
    version: '1',
    description:
      'The phone book for S/MIME: registration of mailboxes, certificates, and a directory by exact address.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
}

/** Mounts the rooms' routes behind the checks that every request takes, with one error handler. */
export function createApp(parts: AppParts): OpenAPIHono {
  const app = new OpenAPIHono()
  const known: { method: string; pattern: RegExp }[] = []

  const safeBody = requireSafeBody(parts)
  const pkiHost = new URL(parts.pkiUrl).host
  const overTls = parts.publicUrl.startsWith('https:')
  app.use(async (context, next) => {
    const connection = parts.connectionOf(context)
    requireSafeConnection(context, connection, pkiHost)
    context.header('Cache-Control', 'no-store')
    context.header('X-Content-Type-Options', 'nosniff')
    // RFC 6797 7.2: over TLS only.
    if (overTls && connection.secure) context.header('Strict-Transport-Security', 'max-age=31536000')
    const { method } = context.req
    if (method === 'POST' || method === 'PUT' || method === 'PATCH') await safeBody(context, next)
    else await next()
    parts.events.requestAnswered({ method, route: () => routeOf(context), status: context.res.status })
  })

  app.get('/healthz', (context) => context.json({ status: 'ok' }))
  app.get('/readyz', async (context) => {
    const unusable: string[] = []
    for (const { role, database } of parts.databases) {
      try {
        await requireCurrentSchema(role, database)
        await requireWritable(database)
      } catch (error) {
        parts.events.requestFailed({ method: 'GET', route: '/readyz', error })
        unusable.push(role)
      }
    }
    const ready = unusable.length === 0
    return context.json(
      { status: ready ? 'ready' : 'not_ready', unusable, warnings: parts.warnings },
      ready ? 200 : 503,
    )
  })

  for (const routes of parts.routes) app.route('/', routes)
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  let openApi: string | null = null
  app.get('/openapi.json', (context) => {
    openApi ??= JSON.stringify(app.getOpenAPI31Document({ ...documentInfo, servers: [{ url: parts.publicUrl }] }))
    return context.body(openApi, 200, { 'Content-Type': 'application/json' })
  })

  for (const { method, path } of app.routes) {
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
    if (answer.status >= 500) parts.events.requestFailed({ method: context.req.method, route: routeOf(context), error })
    return answer
  })
  return app
}
