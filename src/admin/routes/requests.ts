import {
  listedRequest,
  requestListQuery,
  requestReading,
  type AdministratorRole,
  type RequestReading,
} from '../../api/admin-shapes.ts'
import { broughtCertificate, requestCsr, requestSettlement, requestStanding } from '../../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer } from '../../api/room.ts'
import { pageOf } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'
import { noteLooks } from '../../audit/look.ts'

/** Who works with requests sees whose they are, and what was said of them; who only audits sees ids. */
const seesPersons: readonly AdministratorRole[] = ['operator', 'approver']

const withoutPersons = (request: RequestReading): RequestReading => ({
  ...request,
  mailbox: null,
  explanation: null,
  caSaid: null,
  returnedCertificate: null,
})

const elsewhere = problemAnswer('It does not fit how the request stands')

/** Certificate requests, for who watches and approves them. */
export function requestRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  const { administration } = deps.enrolment

  routes.openapi(
    adminRoute('get', '/v1/admin/certificate-requests', {
      operationId: 'listCertificateRequestsAsAdministrator',
      summary: 'All certificate requests, newest first',
      request: { query: requestListQuery },
      responses: { 200: jsonAnswer('One page', pageOf(listedRequest)) },
    }),
    async (context) => context.json(await administration.requests(context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/certificate-requests/{id}', {
      operationId: 'readCertificateRequest',
      summary: 'One request; where its mailbox is shown, to operators and approvers, the look is audited',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The request', requestReading), 404: notFound },
    }),
    async (context) => {
      const caller = context.get('administrator')
      const found = await administration.request(context.req.valid('param').id)
      if (found === null) throw new DomainError('not_found', 'There is no such request.')
      if (!seesPersons.some((role) => caller.roles.includes(role))) return context.json(withoutPersons(found), 200)
      await noteLooks(deps, caller, {
        action: 'certificate_request.read',
        subjectKind: 'certificate request',
        subject: found.id,
      })
      return context.json(found, 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/csr', {
      operationId: 'takeCsrOfRequest',
      summary: 'The CSR of a request that its CA has, to take it there by hand or to look for it there; audited',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The CSR', requestCsr), 404: notFound, 409: elsewhere },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const csr = await administration.byHand.csr(id)
      await noteLooks(deps, context.get('administrator'), {
        action: 'certificate_request.csr_taken',
        subjectKind: 'certificate request',
        subject: id,
      })
      return context.json(csr, 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/certificate', {
      operationId: 'bringCertificateOfRequest',
      summary: 'Bring the certificate that the CA issued for a request; verified as if the CA had answered with it',
      request: { params: idInPath, body: jsonBody(broughtCertificate) },
      responses: {
        200: jsonAnswer('How the request stands', requestStanding),
        404: notFound,
        409: elsewhere,
        422: problemAnswer('It is not the certificate that was asked for; the request waits on, unchanged'),
      },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const { certificate } = context.req.valid('json')
      return context.json(await administration.byHand.bring(id, certificate, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/settlement', {
      operationId: 'settleCertificateRequest',
      summary: 'Say that the CA has issued nothing for a request whose outcome is unknown: it is sent again, or fails',
      request: { params: idInPath, body: jsonBody(requestSettlement) },
      responses: { 200: jsonAnswer('How the request stands', requestStanding), 404: notFound, 409: elsewhere },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const { outcome } = context.req.valid('json')
      return context.json(await administration.byHand.settle(id, outcome, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/cancellation', {
      operationId: 'cancelCertificateRequestAsAdministrator',
      summary: 'Cancel a request that has no outcome',
      request: { params: idInPath },
      responses: {
        200: jsonAnswer('Cancelled, now or before', requestStanding),
        404: notFound,
        409: problemAnswer('The request has an outcome, or is being sent'),
      },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await administration.byHand.cancel(id, context.get('administrator').id), 200)
    },
  )

  return routes
}
