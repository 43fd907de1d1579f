import { bodyBytes } from '../api/body-bytes.ts'
import {
  listedRequest,
  requestListQuery,
  requestReading,
  type AdministratorRole,
  type RequestReading,
} from '../api/admin-shapes.ts'
import {
  broughtCertificate,
  decidedRequest,
  rejectionRequest,
  requestCsr,
  requestSettlement,
  requestStanding,
} from '../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer } from '../api/room.ts'
import { pageOf } from '../api/shapes.ts'
import { approveRequest, rejectRequest } from './approval/decide.ts'
import { bringCertificate, type BringDeps } from './by-hand/bring.ts'
import { csrOfRequest, requireRequest, settleRequest } from './by-hand/settle.ts'
import type { Engine } from './engine/engine.ts'
import { listRequests, readRequestInFull, readStanding } from './reading/read.ts'
import { cancelRequest } from './cancel.ts'
import type { AdminRoute } from '../api/admin-route.ts'
import { noteLooks } from '../audit/look.ts'

/** The roles that work with requests. They see persons and words; auditors see only ids. */
const seesPersons: readonly AdministratorRole[] = ['operator', 'approver']

const withoutPersons = (request: RequestReading): RequestReading => ({
  ...request,
  mailbox: null,
  explanation: null,
  caSaid: null,
  returnedCertificate: null,
})

const decided = problemAnswer('It waits for no approval, or you or others have decided on it')
const elsewhere = problemAnswer('It does not fit how the request stands')

/** Certificate requests, for administrators who watch them, approve them and settle them by hand. */
export function requestAdminRoutes(deps: BringDeps, engine: Pick<Engine, 'wake'>, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(
    adminRoute('get', '/v1/admin/certificate-requests', {
      operationId: 'listCertificateRequestsAsAdministrator',
      summary: 'All certificate requests, newest first',
      request: { query: requestListQuery },
      responses: { 200: jsonAnswer('One page', pageOf(listedRequest)) },
    }),
    async (context) => context.json(await listRequests(deps, context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/certificate-requests/{id}', {
      operationId: 'readCertificateRequest',
      summary: 'One request; operators and approvers also see its mailbox, and then the call is audited',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The request', requestReading), 404: notFound },
    }),
    async (context) => {
      const caller = context.get('administrator')
      const found = await readRequestInFull(deps, context.req.valid('param').id)
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
      summary:
        'The CSR of a request that its CA has, to take it there by hand or to search for it there; the call is audited',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The CSR', requestCsr), 404: notFound, 409: elsewhere },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const csr = await csrOfRequest(deps, id)
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
      summary: 'Bring the certificate that the CA issued for a request; it is verified like an answer of the CA',
      request: { params: idInPath, body: jsonBody(broughtCertificate, bodyBytes.large) },
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
      await bringCertificate(deps, id, { pem: certificate, by: context.get('administrator').id })
      return context.json(await readStanding(deps, id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/settlement', {
      operationId: 'settleCertificateRequest',
      summary:
        'State that the CA has issued nothing for a request whose outcome is unknown: it is sent again, or fails',
      request: { params: idInPath, body: jsonBody(requestSettlement) },
      responses: { 200: jsonAnswer('How the request stands', requestStanding), 404: notFound, 409: elsewhere },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const { outcome } = context.req.valid('json')
      await settleRequest(deps, engine, id, { outcome, by: context.get('administrator').id })
      return context.json(await readStanding(deps, id), 200)
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
      await requireRequest(deps, id)
      await cancelRequest(deps, id, { actorKind: 'administrator', actor: context.get('administrator').id })
      return context.json(await readStanding(deps, id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/approval', {
      operationId: 'approveCertificateRequest',
      summary: 'Approve a request; after the last approval that its rule asks for, it goes to the CA',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('How the request stands', decidedRequest), 404: notFound, 409: decided },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await approveRequest(deps, engine, id, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificate-requests/{id}/rejection', {
      operationId: 'rejectCertificateRequest',
      summary: 'Reject a request, for good; the person who made the request sees the reason',
      request: { params: idInPath, body: jsonBody(rejectionRequest) },
      responses: { 200: jsonAnswer('How the request stands', decidedRequest), 404: notFound, 409: decided },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const { reason } = context.req.valid('json')
      return context.json(
        await rejectRequest(deps, id, { by: context.get('administrator').id, explanation: reason }),
        200,
      )
    },
  )

  return routes
}
