import { bodyBytes } from '../api/body-bytes.ts'
import { z } from 'zod'
import type { AdminRoute } from '../api/admin-route.ts'
import {
  caCheckAnswer,
  caConnectionAnswer,
  caConnectionRequest,
  clientCertificateRequest,
  type CaCheckAnswer,
  type CaConnectionAnswer,
} from '../api/ca-shapes.ts'
import { pageFrom, readCursor } from '../api/paging.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer } from '../api/room.ts'
import { pageOf, pageQuery } from '../api/shapes.ts'
import {
  changeConnection,
  makeConnection,
  noSuchConnection,
  noteTest,
  pauseConnection,
  putClientCertificate,
  removeConnection,
  requireConnection,
  resumeConnection,
} from './change.ts'
import type { CaDeps } from './deps.ts'
import { judgeCheck } from './judge-check.ts'
import type { Opening } from './open.ts'
import { presentConnection } from './present.ts'
import { readConnection, readConnections } from './store.ts'

/**
 * RFC 9110 section 13.1.1: the version that was read. It prevents that one administrator overwrites the change of
 * another.
 */
const versionRead = z.object({
  'if-match': z.string().regex(/^"\d{1,9}"$/, 'must be the version that was read, in quotation marks'),
})

const unfit = problemAnswer('It cannot work as it is set up')
const notHere = problemAnswer('It needs what this runtime cannot do')
const nameTaken = problemAnswer('Another connection has this name')

type ReadDeps = Pick<CaDeps, 'database' | 'keys' | 'events' | 'crypto' | 'embedded' | 'uses'> & Pick<Opening, 'prepare'>

/** One page of the connections that were not removed, newest first. */
async function listConnections(
  deps: ReadDeps,
  { limit, cursor }: z.output<typeof pageQuery>,
): Promise<{ items: CaConnectionAnswer[]; next: string | null }> {
  const { at, id } = readCursor(cursor)
  const rows = (await readConnections(deps)).filter(
    (row) => row.state !== 'removed' && (row.createdAt < at || (row.createdAt === at && row.id < id)),
  )
  const page = pageFrom(rows, limit)
  const counts = await deps.uses.countRequests()
  const items = await Promise.all(page.rows.map((row) => presentConnection(deps, row, deps.prepare(row), counts)))
  return { items, next: page.next }
}

/** One connection, also one that was removed. Throws `not_found`. */
async function showConnection(deps: ReadDeps, id: string): Promise<CaConnectionAnswer> {
  const row = await readConnection(deps, id)
  if (row === null) throw noSuchConnection()
  return presentConnection(deps, row, deps.prepare(row), await deps.uses.countRequests())
}

/** Checks the CA and leaves nothing there, also while the connection is paused. Throws `not_found`. */
async function testConnection(
  deps: Pick<CaDeps, 'database' | 'keys' | 'events' | 'crypto' | 'clock' | 'audit'> & Pick<Opening, 'prepare'>,
  id: string,
  by: string,
): Promise<CaCheckAnswer> {
  const { adapter, trust } = deps.prepare(await requireConnection(deps, id))
  const tested = await judgeCheck(deps, id, trust, await adapter.check())
  await noteTest(deps, id, tested.failure, by)
  return tested
}

/** Administrators' routes for CA connections. No answer holds a secret. */
export function connectionAdminRoutes(deps: CaDeps & Pick<Opening, 'prepare'>, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(
    adminRoute('get', '/v1/admin/ca-connections', {
      operationId: 'listCaConnections',
      summary: 'The CA connections, newest first; the CA inside is the last',
      request: { query: pageQuery },
      responses: { 200: jsonAnswer('One page', pageOf(caConnectionAnswer)) },
    }),
    async (context) => context.json(await listConnections(deps, context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections', {
      operationId: 'makeCaConnection',
      summary: 'Connect a CA; from then on the privacy page names it as a recipient',
      request: { body: jsonBody(caConnectionRequest, bodyBytes.large) },
      responses: {
        201: jsonAnswer('The connection; requests go to it once a rule says so', caConnectionAnswer),
        409: nameTaken,
        422: unfit,
        501: notHere,
      },
    }),
    async (context) => {
      const made = await makeConnection(deps, context.req.valid('json'), context.get('administrator').id)
      return context.json(await showConnection(deps, made), 201)
    },
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/ca-connections/{id}', {
      operationId: 'readCaConnection',
      summary: 'One CA connection, also one that was removed',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound },
    }),
    async (context) => context.json(await showConnection(deps, context.req.valid('param').id), 200),
  )

  routes.openapi(
    adminRoute('put', '/v1/admin/ca-connections/{id}', {
      operationId: 'changeCaConnection',
      summary: 'Change a CA connection. If-Match names the version that was read. Secrets that are left out stay',
      request: { params: idInPath, headers: versionRead, body: jsonBody(caConnectionRequest, bodyBytes.large) },
      responses: {
        200: jsonAnswer('The connection', caConnectionAnswer),
        404: notFound,
        409: problemAnswer('Somebody changed it meanwhile, or another connection has this name'),
        422: unfit,
        501: notHere,
      },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const version = Number(context.req.valid('header')['if-match'].slice(1, -1))
      const by = context.get('administrator').id
      await changeConnection(deps, { id, version }, context.req.valid('json'), by)
      return context.json(await showConnection(deps, id), 200)
    },
  )

  routes.openapi(
    adminRoute('delete', '/v1/admin/ca-connections/{id}', {
      operationId: 'removeCaConnection',
      summary: 'Remove a CA connection that nothing needs any more, with its credentials',
      request: { params: idInPath },
      responses: {
        204: { description: 'Removed' },
        404: notFound,
        409: problemAnswer(
          'Rules, requests, certificates or revocations still need it, or it is that of the CA inside',
        ),
      },
    }),
    async (context) => {
      await removeConnection(deps, context.req.valid('param').id, context.get('administrator').id)
      return context.body(null, 204)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/client-certificate', {
      operationId: 'certifyCaConnection',
      summary: 'Store the certificate for the key with which the service authenticates at the CA',
      request: { params: idInPath, body: jsonBody(clientCertificateRequest, bodyBytes.large) },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound, 422: unfit },
    }),
    async (context) => {
      const { certificate } = context.req.valid('json')
      const { id } = context.req.valid('param')
      await putClientCertificate(deps, id, certificate, context.get('administrator').id)
      return context.json(await showConnection(deps, id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/test', {
      operationId: 'testCaConnection',
      summary: 'Check that the CA is there and lets the service in; nothing is issued',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('What the look told', caCheckAnswer), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await testConnection(deps, id, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/pause', {
      operationId: 'pauseCaConnection',
      summary: 'Send nothing to a CA for now; requests wait',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      await pauseConnection(deps, id, context.get('administrator').id)
      return context.json(await showConnection(deps, id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/resumption', {
      operationId: 'resumeCaConnection',
      summary: 'Send to a CA again, also if its circuit was open',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      await resumeConnection(deps, id, context.get('administrator').id)
      return context.json(await showConnection(deps, id), 200)
    },
  )

  return routes
}
