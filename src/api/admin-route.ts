import type { RouteConfig } from '@hono/zod-openapi'
import type { Env, MiddlewareHandler } from 'hono'
import { DomainError } from '../errors.ts'
import { routeRoles, type AdminPath } from './admin-roles.ts'
import type { AdministratorRole } from './admin-shapes.ts'
import { bearer, createRoute, problemAnswer, unauthorized } from './room.ts'

/**
 * The administrator who is asking. `credentialVerifier` is null for the operator of the machine itself, whose credential
 * is in no table.
 */
export interface AdminCaller {
  readonly id: string
  readonly roles: readonly AdministratorRole[]
  readonly credentialVerifier: Uint8Array | null
}

/**
 * Reads the `Authorization` header of an administrator. Throws `credential_required`, `credential_invalid`,
 * `credential_of_another_kind`.
 */
export type AuthenticateAdministrator = (authorization: string | undefined) => Promise<AdminCaller>

declare module 'hono' {
  interface ContextVariableMap {
    /** Set on every call of the table of roles. */
    administrator: AdminCaller
  }
}

/** Throws `role_required` unless the caller has one of the roles. */
function requireRole(caller: AdminCaller, allowed: readonly AdministratorRole[]): void {
  if (allowed.some((role) => caller.roles.includes(role))) return
  throw new DomainError('role_required', `This takes one of these roles: ${allowed.join(', ')}.`)
}

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
type RouteParts = Pick<RouteConfig, 'summary' | 'request' | 'responses'> & { readonly operationId: string }
type Roles = readonly AdministratorRole[]

const refused = {
  401: unauthorized,
  403: problemAnswer("The credential is no administrator's, or has none of the roles"),
}

/** Recognises the caller of a call of the table of roles; rejects where they may not make it. Null for other calls. */
export function admissionOfAdministrators(
  authenticate: AuthenticateAdministrator,
  method: string,
  path: string,
): ((authorization: string | undefined) => Promise<void>) | null {
  const ofPath = Object.entries<Readonly<Partial<Record<string, Roles>>>>(routeRoles).find(([named]) => named === path)
  const allowed = ofPath?.[1][method]
  if (allowed === undefined) return null
  return async (authorization) => requireRole(await authenticate(authorization), allowed)
}

/**
 * Makes the function that declares a route of the administrators' API. Path, method and roles come from the table of
 * roles. The caller is recognised before anything of the request is read.
 */
export function createAdminRoute(authenticate: AuthenticateAdministrator) {
  const admit =
    (allowed: Roles): MiddlewareHandler<Env> =>
    async (context, next) => {
      const caller = await authenticate(context.req.header('Authorization'))
      context.get('client').recognised?.()
      requireRole(caller, allowed)
      context.set('administrator', caller)
      await next()
    }
  return <
    const P extends AdminPath,
    const M extends keyof (typeof routeRoles)[P] & Method,
    const Parts extends RouteParts,
  >(
    method: M,
    path: P,
    parts: Parts,
  ) => {
    const ofPath: Readonly<Partial<Record<Method, Roles>>> = routeRoles[path]
    const allowed = ofPath[method] ?? []
    return createRoute({
      ...parts,
      method,
      path,
      tags: ['Administration'],
      description: `For administrators who are ${allowed.join(' or ')}.`,
      responses: { ...refused, ...parts.responses },
      security: bearer,
      middleware: admit(allowed),
    })
  }
}

/** Declares one route of the administrators' API. The service hands it to the rooms. */
export type AdminRoute = ReturnType<typeof createAdminRoute>
