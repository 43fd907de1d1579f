import type { OpenAPIHono } from '@hono/zod-openapi'
import { createRoute, createRoutes, jsonAnswer, timestamp } from '../api/room.ts'
import { authoritiesAnswer } from '../api/shapes.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { factsOf } from '../pki/certificate-facts.ts'
import { toBase64 } from '../pki/encoding.ts'
import { nameToString } from '../pki/names.ts'

/** A certificate of the embedded CA. */
export interface AuthorityCertificate {
  readonly id: string
  readonly role: 'root' | 'issuing'
  readonly certificate: Uint8Array
}

const authoritiesRoute = createRoute({
  operationId: 'listAuthorities',
  tags: ['Public key infrastructure'],
  method: 'get',
  path: '/v1/authorities',
  summary: 'The certificates of the CA that issues here, root first: compare its fingerprint before you trust it',
  responses: { 200: jsonAnswer('The root and the issuing CA', authoritiesAnswer) },
})

/**
 * The certificates of the embedded CA, for anyone. TLS only: a root certificate that came by plain HTTP must not be
 * trusted.
 */
export function authorityRoutes(deps: {
  readonly crypto: Crypto
  readonly authorities: readonly AuthorityCertificate[]
}): OpenAPIHono {
  const routes = createRoutes()
  routes.openapi(authoritiesRoute, async (context) => {
    const items = await Promise.all(
      deps.authorities.map(async ({ id, role, certificate }) => {
        const parsed = parseCertificate(certificate)
        const { serialNumber, fingerprintSha256, notBefore, notAfter } = await factsOf(deps.crypto, parsed)
        return {
          id,
          role,
          subject: nameToString(parsed.subject),
          serialNumber,
          fingerprintSha256,
          notBefore: timestamp(notBefore.getTime()),
          notAfter: timestamp(notAfter.getTime()),
          certificate: toBase64(certificate),
        }
      }),
    )
    return context.json({ items }, 200)
  })
  return routes
}
