import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'

/** A web page may be told of `/v1`, but never of what administrators do there. */
const isForPages = (path: string): boolean => path.startsWith('/v1/') && !/^\/v1\/admin(\/|$)/.test(path)

/** How long a browser may remember the answer to a preflight; none keeps it for more than a day. */
const preflightSeconds = 7_200

/**
 * Lets web pages of the declared origins, compared as a whole, call `/v1`. Nothing is sent with credentials of the
 * browser's own: a credential is a header that the page sets. An origin that is not declared gets the ordinary answer
 * without a header of CORS, so its browser keeps the answer from it.
 */
export function pagesMayCall(origins: readonly string[]): MiddlewareHandler {
  const allow = cors({
    origin: [...origins],
    allowMethods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowHeaders: ['Authorization', 'Content-Type'],
    exposeHeaders: ['Location', 'Retry-After'],
    maxAge: preflightSeconds,
  })
  return async (context, next) => {
    const origin = context.req.header('Origin')
    if (!isForPages(context.req.path)) return next()
    if (origin !== undefined && origins.includes(origin)) return allow(context, next)
    const preflight = context.req.method === 'OPTIONS' && origin !== undefined
    if (preflight && context.req.header('Access-Control-Request-Method') !== undefined) {
      return new Response(null, { status: 204, headers: { Vary: 'Origin' } })
    }
    await next()
    context.res.headers.append('Vary', 'Origin')
  }
}
