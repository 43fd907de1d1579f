import {
  auditCheckpointAnswer,
  auditLogEntry,
  auditLogQuery,
  auditLogReading,
  auditVerificationAnswer,
  auditVerificationQuery,
  foundLookup,
  overviewAnswer,
  queryLogSearch,
  readingRequest,
} from '../../api/admin-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, timestamp } from '../../api/room.ts'
import { pageOf } from '../../api/shapes.ts'
import { findAuditEntry, listAuditEntries, openAuditValues } from '../../audit/read.ts'
import { DomainError } from '../../errors.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import { countMails } from '../../mail/monitoring.ts'
import { countRegistered } from '../../registration/describe.ts'
import type { AdminDeps } from '../deps.ts'
import { countRequests } from '../../requests/reading/read.ts'
import { countValidCertificates } from '../../certificates/store.ts'
import { fromHex } from '../../pki/hexadecimal.ts'
import type { TreeHead } from '../../pki/merkle-tree.ts'
import { noteLooks } from '../../audit/look.ts'
import { searchQueryLog } from '../query-log.ts'

/** The checkpoints of a query, which its shape has checked. */
const treeHeadsOf = (checkpoints: string | undefined): TreeHead[] =>
  (checkpoints?.split(',') ?? []).map((checkpoint) => {
    const [size, root = ''] = checkpoint.split(':')
    return { size: Number(size), root: fromHex(root) }
  })

/** The query log and the audit log. */
export function logRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(
    adminRoute('post', '/v1/admin/query-log/search', {
      operationId: 'searchQueryLog',
      summary: 'Lookups of one asker or of one address, newest first; the search is audited with its reason',
      request: { body: jsonBody(queryLogSearch) },
      responses: { 200: jsonAnswer('One page; an empty one may have a next', pageOf(foundLookup)) },
    }),
    async (context) => {
      const page = await searchQueryLog(deps, context.get('administrator'), context.req.valid('json'))
      return context.json(page, 200)
    },
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/audit-log', {
      operationId: 'listAuditLog',
      summary: 'The audit log, newest first: ids and facts, and the names of the values that name somebody',
      request: { query: auditLogQuery },
      responses: { 200: jsonAnswer('One page', pageOf(auditLogEntry)) },
    }),
    async (context) => context.json(await listAuditEntries(deps, context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/audit-log/verification', {
      operationId: 'verifyAuditLog',
      summary: 'Recompute the whole audit chain, and compare it with what was kept elsewhere',
      request: { query: auditVerificationQuery },
      responses: { 200: jsonAnswer('What was found; the log is whole without faults', auditVerificationAnswer) },
    }),
    async (context) => {
      const { head, checkpoints } = context.req.valid('query')
      const found = await deps.audit.verify(head ?? null, treeHeadsOf(checkpoints))
      return context.json({ ...found, faults: [...found.faults] }, 200)
    },
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/audit-log/checkpoint', {
      operationId: 'signAuditLog',
      summary: 'A signed checkpoint of the audit log as it is, to be kept elsewhere, and the key that verifies it',
      responses: { 200: jsonAnswer('The checkpoint', auditCheckpointAnswer) },
    }),
    async (context) => context.json((await deps.audit.checkpoint()) ?? { verifierKey: null, checkpoint: null }, 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/audit-log/{id}/reading', {
      operationId: 'readAuditLogEntry',
      summary: 'One entry with the values that name somebody; the call is audited with its reason',
      request: { params: idInPath, body: jsonBody(readingRequest) },
      responses: { 200: jsonAnswer('The entry', auditLogReading), 404: notFound },
    }),
    async (context) => {
      const entry = await findAuditEntry(deps, context.req.valid('param').id)
      if (entry === null) throw new DomainError('not_found', 'There is no such entry.')
      await noteLooks(deps, context.get('administrator'), {
        action: 'audit_entry.read',
        subjectKind: 'audit entry',
        subject: entry.id,
        personal: { reason: context.req.valid('json').reason },
      })
      return context.json({ ...entry, values: await openAuditValues(deps, entry) }, 200)
    },
  )

  return routes
}

/** The state of the service, in numbers that name nobody. */
export function overviewRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  routes.openapi(
    adminRoute('get', '/v1/admin/overview', {
      operationId: 'readOverview',
      summary: 'Counts, whether mail can be sent, and warnings',
      responses: { 200: jsonAnswer('The numbers', overviewAnswer) },
    }),
    async (context) => {
      const { subscribers, devices } = await countRegistered(deps)
      const requests = await countRequests(deps)
      const valid = await countValidCertificates(deps.database, deps.clock())
      const { queued, oldestQueuedAt, givenUp } = await countMails(deps)
      return context.json(
        {
          subscribers,
          devices,
          certificates: { valid: valid?.certificates ?? 0 },
          certificateRequests: requests,
          mail: { queued, oldestQueuedAt: oldestQueuedAt === null ? null : timestamp(oldestQueuedAt), givenUp },
          warnings: [...(await deps.warnings())],
        },
        200,
      )
    },
  )
  return routes
}
