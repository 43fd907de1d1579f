import { caRevocation, caRevocationQuery } from '../../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, notFound } from '../../api/room.ts'
import { pageOf } from '../../api/shapes.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'

/** Revocations that CAs elsewhere are told of. They name certificates and their CAs, and no mailbox. */
export function revocationRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  const { revocations } = deps.enrolment.administration

  routes.openapi(
    adminRoute('get', '/v1/admin/ca-revocations', {
      operationId: 'listCaRevocations',
      summary: 'Revocations that CAs elsewhere are told of, newest first',
      request: { query: caRevocationQuery },
      responses: { 200: jsonAnswer('One page', pageOf(caRevocation)) },
    }),
    async (context) => context.json(await revocations.list(context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-revocations/{id}/confirmation', {
      operationId: 'confirmCaRevocation',
      summary: 'Say that a certificate is revoked at its CA, which was told by hand; a repeat changes nothing',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The revocation, confirmed', caRevocation), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await revocations.confirm(id, context.get('administrator').id), 200)
    },
  )

  return routes
}
