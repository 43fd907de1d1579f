import { bodyBytes } from '../api/body-bytes.ts'
import {
  administratorRevocation,
  blocklistImportAnswer,
  blocklistImportRequest,
  certificateReading,
  certificateSearch,
  type AdministratorRole,
  type CertificateReading,
} from '../api/admin-shapes.ts'
import type { AdminCaller, AdminRoute } from '../api/admin-route.ts'
import { caRevocation, caRevocationQuery } from '../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound } from '../api/room.ts'
import { pageOf } from '../api/shapes.ts'
import { noteLooks } from '../audit/look.ts'
import { DomainError } from '../errors.ts'
import type { CertificateDeps } from './deps.ts'
import { confirmByHand, listCaRevocations } from './forwarding/list.ts'
import { blockImported } from './keys/blocklist.ts'
import { readCertificateReading, searchCertificates } from './readings.ts'
import { revokeCertificate } from './revoke.ts'

/** Who works with certificates sees whose they are. Who only audits sees ids. */
const seesMailbox: readonly AdministratorRole[] = ['operator', 'privacy']

/** Shows certificates as the caller may see them: without the mailbox, or with it, which is written down first. */
async function shown(
  deps: Pick<CertificateDeps, 'database' | 'audit'>,
  caller: AdminCaller,
  certificates: readonly CertificateReading[],
): Promise<CertificateReading[]> {
  if (!seesMailbox.some((role) => caller.roles.includes(role))) {
    return certificates.map((certificate) => ({ ...certificate, mailbox: null }))
  }
  const looks = certificates.map(({ id }) => ({
    action: 'certificate.read',
    subjectKind: 'certificate',
    subject: id,
  }))
  await noteLooks(deps, caller, ...looks)
  return [...certificates]
}

const noSuchCertificate = (): DomainError => new DomainError('not_found', 'There is no such certificate.')

/** Certificates and blocked keys, for administrators. */
function certificateAdminRoutes(deps: CertificateDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()

  const oneShown = async (caller: AdminCaller, id: string): Promise<CertificateReading> => {
    const certificate = await readCertificateReading(deps, id)
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
      const found = await searchCertificates(deps, context.req.valid('json'))
      return context.json({ items: await shown(deps, context.get('administrator'), found), next: null }, 200)
    },
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/certificates/{id}', {
      operationId: 'readCertificate',
      summary: 'One certificate; operators and privacy also see its mailbox, and then the call is audited',
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
      if ((await readCertificateReading(deps, id)) === null) throw noSuchCertificate()
      const by = { actorKind: 'administrator', actor: caller.id } as const
      await revokeCertificate(deps, id, reason === 'unspecified' ? null : reason, { by })
      return context.json(await oneShown(caller, id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/blocklist/imports', {
      operationId: 'importBlocklist',
      summary: 'Block keys by their fingerprints, all or none',
      request: { body: jsonBody(blocklistImportRequest, bodyBytes.large) },
      responses: { 200: jsonAnswer('How many were not blocked before', blocklistImportAnswer) },
    }),
    async (context) => {
      const { fingerprints } = context.req.valid('json')
      return context.json({ blocked: await blockImported(deps, fingerprints, context.get('administrator').id) }, 200)
    },
  )

  return routes
}

/** Revocations that other CAs are told of. They name certificates and their CAs, and no mailbox. */
function caRevocationAdminRoutes(deps: CertificateDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(
    adminRoute('get', '/v1/admin/ca-revocations', {
      operationId: 'listCaRevocations',
      summary: 'Revocations that connected CAs must be told about, newest first',
      request: { query: caRevocationQuery },
      responses: { 200: jsonAnswer('One page', pageOf(caRevocation)) },
    }),
    async (context) => context.json(await listCaRevocations(deps, context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-revocations/{id}/confirmation', {
      operationId: 'confirmCaRevocation',
      summary: 'Confirm that a certificate was revoked at its CA by hand; a repeat changes nothing',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The revocation, confirmed', caRevocation), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await confirmByHand(deps, id, context.get('administrator').id), 200)
    },
  )

  return routes
}

/** What administrators do with certificates, keys, and revocations at other CAs. */
export const adminRoutes = (deps: CertificateDeps, adminRoute: AdminRoute) => [
  certificateAdminRoutes(deps, adminRoute),
  caRevocationAdminRoutes(deps, adminRoute),
]
