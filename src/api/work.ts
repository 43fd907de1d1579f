import type { OpenAPIHono } from '@hono/zod-openapi'
import { z } from '@hono/zod-openapi'
import type { DeclaredWork } from '../ports/work.ts'

/** Where a route says what it asks for, if that does not follow from who may call it. The OpenAPI document shows it. */
export const workName = 'x-work'

const declared = z.looseObject({ [workName]: z.enum(['dear', 'enrolment', 'essential']).optional() })

/** What is no call of the API. The rest of it, such as pages, anyone may ask for. */
const elsewhere: readonly (readonly [RegExp, DeclaredWork])[] = [
  [/^\/(healthz|readyz)$/, 'essential'],
  // RFC 5280 4.2.1.13, 4.2.2.1 and RFC 6960 A.1: whoever checks a signature has no other place to ask.
  [/^\/(ca|ocsp)\//, 'essential'],
]

const patternOf = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll('.', String.raw`\.`).replaceAll(/\{[^}]+\}/g, '[^/]+')}$`)

/** What a request asks for, by its method and path. What has no route is anonymous. */
export function workOfRoutes(app: OpenAPIHono): (method: string, path: string) => DeclaredWork {
  const exact = new Map<string, DeclaredWork>()
  const patterns: { readonly method: string; readonly pattern: RegExp; readonly work: DeclaredWork }[] = []
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== 'route') continue
    const { path, security = [] } = definition.route
    const method = definition.route.method.toUpperCase()
    const work = declared.parse(definition.route)[workName] ?? (security.length > 0 ? 'member' : 'anonymous')
    if (path.includes('{')) patterns.push({ method, pattern: patternOf(path), work })
    else exact.set(`${method} ${path}`, work)
  }
  return (method, path) =>
    exact.get(`${method} ${path}`) ??
    elsewhere.find(([pattern]) => pattern.test(path))?.[1] ??
    patterns.find((route) => route.method === method && route.pattern.test(path))?.work ??
    'anonymous'
}
