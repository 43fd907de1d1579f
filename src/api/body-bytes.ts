import { z, type OpenAPIHono } from '@hono/zod-openapi'

/** How many bytes of body a route takes: enough for every honest caller, and too few for a flood. */
export const bodyBytes = {
  usual: 16 * 1_024,
  /** A key of 8,192 bits in any form, with what its maker put beside it. */
  key: 32 * 1_024,
  /** A CSR of the largest size that is read, in base64. */
  certificateRequest: 96 * 1_024,
  /** A hundred addresses of full length. */
  lookup: 64 * 1_024,
  /** Certificates with their anchors, and blocklists: administrators send these. */
  large: 160 * 1_024,
} as const

/** Where the OpenAPI document says it. */
export const bodyBytesName = 'x-max-bytes'

const declared = z.looseObject({ [bodyBytesName]: z.int().default(bodyBytes.usual) })

interface DocumentedRoute {
  /** In lower case. */
  readonly method: string
  /** As the document names it. */
  readonly path: string
  readonly security: readonly object[]
  /** Null where it takes no body. */
  readonly bodyBytes: number | null
}

/** OCSP is no call of the API, but it has a body. */
const ocsp = { method: 'post', path: '/ocsp/{authority}', security: [], bodyBytes: bodyBytes.usual }

/** The routes that the document names, by method and path as the router names them. */
export function documentedRoutes(app: OpenAPIHono): ReadonlyMap<string, DocumentedRoute> {
  const routes: DocumentedRoute[] = [ocsp]
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== 'route') continue
    const { method, path, security, request } = definition.route
    const most = request?.body === undefined ? null : declared.parse(request.body)[bodyBytesName]
    routes.push({ method, path, security: security ?? [], bodyBytes: most })
  }
  const nameOf = ({ method, path }: DocumentedRoute): string =>
    `${method.toUpperCase()} ${path.replaceAll(/\{([^}]+)\}/g, ':$1')}`
  return new Map(routes.map((route) => [nameOf(route), route]))
}
