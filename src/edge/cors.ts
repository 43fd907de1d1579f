import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'

/** Web pages may call `/v1`, but not the calls of administrators. */
const isForPages = (path: string): boolean => path.startsWith('/v1/') && !/^\/v1\/admin(\/|$)/.test(path)

/** How long a browser may remember a preflight. No browser keeps it for more than a day. */
const preflightSeconds = 7_200

/**
 * Lets web pages of the declared origins call `/v1`. Origins are compared as a whole. Browsers send no credentials of
 * their own: the page sets a header. Another origin gets the ordinary answer without CORS headers, so its browser
 * hides the answer from the page.
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
