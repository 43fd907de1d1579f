import {
  bearer,
  createRoute,
  createRoutes,
  deviceCaller,
  idInPath,
  jsonAnswer,
  jsonBody,
  notFound,
  unauthorized,
} from '../api/room.ts'
import { ownCertificate, pageOf, pageQuery, revocationRequest } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { CertificateDeps } from './deps.ts'
import { pageFrom, readCursor } from '../api/paging.ts'
import { revokeCertificate } from './revoke.ts'
import { createOwnPresenter, ownCertificateRow } from './own.ts'
import { readCertificatesOf } from './store.ts'
import { isTrustedCertificate } from './trusted-certificates.ts'
import { leaves, rowsLeft } from '../api/rows-left.ts'

const certificatesRoute = createRoute({
  operationId: 'listCertificates',
  tags: ['Certificates'],
  method: 'get',
  path: '/v1/certificates',
  summary: 'Your certificates, newest first',
  security: bearer,
  request: { query: pageQuery },
  responses: { 200: jsonAnswer('One page', pageOf(ownCertificate)), 401: unauthorized },
})

const oneCertificateRoute = createRoute({
  operationId: 'getCertificate',
  tags: ['Certificates'],
  method: 'get',
  path: '/v1/certificates/{id}',
  summary: 'One of your certificates',
  security: bearer,
  request: { params: idInPath },
  responses: { 200: jsonAnswer('The certificate', ownCertificate), 401: unauthorized, 404: notFound },
})

const revokeRoute = createRoute({
  operationId: 'revokeCertificate',
  tags: ['Certificates'],
  method: 'post',
  path: '/v1/certificates/{id}/revocation',
  summary: 'Revoke one of your certificates, for good',
  security: bearer,
  request: { params: idInPath, body: jsonBody(revocationRequest) },
  [leaves]: rowsLeft({
    certificate_request: {
      outgoing_mail: 1,
      ca_revocations: 1,
      blocked_keys: 1,
      audit_entries: 2,
      audit_private: 1,
      caller_changes: 1,
    },
  }),
  responses: { 200: jsonAnswer('Revoked, or ended before', ownCertificate), 401: unauthorized, 404: notFound },
})

/** A subscriber's own certificates, and their revocation. */
export function ownCertificateRoutes(deps: CertificateDeps) {
  const routes = createRoutes()
  const { authenticate } = deps.registration
  const { presentOwn } = createOwnPresenter(deps)

  routes.openapi(certificatesRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const { limit, cursor } = context.req.valid('query')
    const rows = await readCertificatesOf(deps.database, caller.subscriberId, readCursor(cursor), limit + 1)
    const page = pageFrom(rows, limit)
    const own = page.rows.filter((row) => isTrustedCertificate(deps, row))
    return context.json({ items: await presentOwn(own), next: page.next }, 200)
  })

  routes.openapi(oneCertificateRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const [shown] = await presentOwn([await ownCertificateRow(deps, caller, context.req.valid('param').id)])
    if (shown === undefined) throw new DomainError('not_found', 'You have no such certificate.')
    return context.json(shown, 200)
  })

  routes.openapi(revokeRoute, async (context) => {
    const caller = await deviceCaller(context, authenticate)
    const { id } = await ownCertificateRow(deps, caller, context.req.valid('param').id)
    const { reason } = context.req.valid('json')
    await revokeCertificate(deps, id, reason === 'unspecified' ? null : reason, {
      by: {
        actorKind: 'device',
        actor: caller.deviceId,
      },
    })
    const [shown] = await presentOwn([await ownCertificateRow(deps, caller, id)])
    if (shown === undefined) throw new DomainError('not_found', 'You have no such certificate.')
    return context.json(shown, 200)
  })

  return routes
}
