import { decidedRequest, rejectionRequest } from '../../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer } from '../../api/room.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'

const decided = problemAnswer('It waits for no approval, or you or others have decided on it')

/** The decisions of approvers on certificate requests. */
export function approvalRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  const { administration } = deps.enrolment

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/approval', {
      operationId: 'approveCertificateRequest',
      summary: 'Approve a request; with the last approval that its rule wants it goes to the CA',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('How the request stands', decidedRequest), 404: notFound, 409: decided },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await administration.approve(id, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/rejection', {
      operationId: 'rejectCertificateRequest',
      summary: 'Reject a request, for good; the reason is shown to the person whose request it is',
      request: { params: idInPath, body: jsonBody(rejectionRequest) },
      responses: { 200: jsonAnswer('How the request stands', decidedRequest), 404: notFound, 409: decided },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const { reason } = context.req.valid('json')
      return context.json(await administration.reject(id, context.get('administrator').id, reason), 200)
    },
  )

  return routes
}
