import {
  administratorRevocation,
  blocklistImportAnswer,
  blocklistImportRequest,
  certificateReading,
  certificateSearch,
  type AdministratorRole,
  type CertificateReading,
} from '../../api/admin-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound } from '../../api/room.ts'
import { pageOf } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminCaller } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'
import { noteLooks } from '../../audit/look.ts'

/** Who works with certificates sees whose they are; who only audits sees ids. */
const seesMailboxOfCertificate: readonly AdministratorRole[] = ['operator', 'privacy']

const mayBe = (caller: AdminCaller, roles: readonly AdministratorRole[]): boolean =>
  roles.some((role) => caller.roles.includes(role))

/** Certificates as the caller may see them: with the mailbox, which is written down first, or without. */
async function shown(
  deps: AdminDeps,
  caller: AdminCaller,
  certificates: readonly CertificateReading[],
): Promise<CertificateReading[]> {
  if (!mayBe(caller, seesMailboxOfCertificate)) {
    return certificates.map((certificate) => ({ ...certificate, mailbox: null }))
  }
  await noteLooks(
    deps,
    caller,
    ...certificates.map(({ id }) => ({ action: 'certificate.read', subjectKind: 'certificate', subject: id })),
  )
  return [...certificates]
}

const noSuchCertificate = (): DomainError => new DomainError('not_found', 'There is no such certificate.')

/** Certificates and blocked keys. */
export function certificateRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  const { administration } = deps.enrolment

  const oneShown = async (caller: AdminCaller, id: string): Promise<CertificateReading> => {
    const certificate = await administration.certificate(id)
    const [found] = certificate === null ? [] : await shown(deps, caller, [certificate])
    if (found === undefined) throw noSuchCertificate()
    return found
  }

  routes.openapi(
    adminRoute('post', '/v1/admin/certificates/search', {
      operationId: 'searchCertificates',
      summary: 'Certificates by serial number or by the SHA-256 of their bytes',
      request: { body: jsonBody(certificateSearch) },
      responses: { 200: jsonAnswer('What was found', pageOf(certificateReading)) },
    }),
    async (context) => {
      const found = await administration.find(context.req.valid('json'))
      return context.json({ items: await shown(deps, context.get('administrator'), found), next: null }, 200)
    },
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/certificates/{id}', {
      operationId: 'readCertificate',
      summary: 'One certificate; where its mailbox is shown, to operators and privacy, the look is audited',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The certificate', certificateReading), 404: notFound },
    }),
    async (context) => context.json(await oneShown(context.get('administrator'), context.req.valid('param').id), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/certificates/{id}/revocation', {
      operationId: 'revokeCertificateAsAdministrator',
      summary: 'Revoke a certificate, for good',
      request: { params: idInPath, body: jsonBody(administratorRevocation) },
      responses: { 200: jsonAnswer('Revoked, or ended before', certificateReading), 404: notFound },
    }),
    async (context) => {
      const caller = context.get('administrator')
      const { id } = context.req.valid('param')
      const { reason } = context.req.valid('json')
      if ((await administration.certificate(id)) === null) throw noSuchCertificate()
      await administration.revoke(id, reason === 'unspecified' ? null : reason, caller.id)
      return context.json(await oneShown(caller, id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/blocklist/imports', {
      operationId: 'importBlocklist',
      summary: 'Block keys by their fingerprints, all or none',
      request: { body: jsonBody(blocklistImportRequest) },
      responses: { 200: jsonAnswer('How many were not blocked before', blocklistImportAnswer) },
    }),
    async (context) => {
      const { fingerprints } = context.req.valid('json')
      return context.json({ blocked: await administration.block(fingerprints, context.get('administrator').id) }, 200)
    },
  )

  return routes
}
