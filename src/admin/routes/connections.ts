import { z } from 'zod'
import {
  caCheckAnswer,
  caConnectionAnswer,
  caConnectionRequest,
  clientCertificateRequest,
} from '../../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer } from '../../api/room.ts'
import { pageOf, pageQuery } from '../../api/shapes.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'

/** RFC 9110 section 13.1.1: the version that was read, so that nobody undoes what somebody else did meanwhile. */
const versionRead = z.object({
  'if-match': z.string().regex(/^"\d{1,9}"$/, 'must be the version that was read, in quotation marks'),
})

const unfit = problemAnswer('It cannot work as it is set up')
const notHere = problemAnswer('It needs what this runtime cannot do')
const nameTaken = problemAnswer('Another connection has this name')

/** CA connections: to whom requests can go. No answer holds anything that is secret. */
export function connectionRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  const { connections } = deps.enrolment.administration

  routes.openapi(
    adminRoute('get', '/v1/admin/ca-connections', {
      operationId: 'listCaConnections',
      summary: 'The CA connections, newest first; the CA inside is the last',
      request: { query: pageQuery },
      responses: { 200: jsonAnswer('One page', pageOf(caConnectionAnswer)) },
    }),
    async (context) => context.json(await connections.list(context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections', {
      operationId: 'makeCaConnection',
      summary: 'Connect a CA; from then on it stands on the privacy page as a recipient',
      request: { body: jsonBody(caConnectionRequest) },
      responses: {
        201: jsonAnswer('The connection; requests go to it once a rule says so', caConnectionAnswer),
        409: nameTaken,
        422: unfit,
        501: notHere,
      },
    }),
    async (context) => {
      const { id } = context.get('administrator')
      return context.json(await connections.make(context.req.valid('json'), id), 201)
    },
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/ca-connections/{id}', {
      operationId: 'readCaConnection',
      summary: 'One CA connection, also one that was removed',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound },
    }),
    async (context) => context.json(await connections.read(context.req.valid('param').id), 200),
  )

  routes.openapi(
    adminRoute('put', '/v1/admin/ca-connections/{id}', {
      operationId: 'changeCaConnection',
      summary: 'Set a CA connection up anew; If-Match names the version that was read. Secrets that are left out stay',
      request: { params: idInPath, headers: versionRead, body: jsonBody(caConnectionRequest) },
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
      return context.json(await connections.change(id, version, context.req.valid('json'), by), 200)
    },
  )

  routes.openapi(
    adminRoute('delete', '/v1/admin/ca-connections/{id}', {
      operationId: 'removeCaConnection',
      summary: 'Remove a CA connection on which nothing rests, with its credentials',
      request: { params: idInPath },
      responses: {
        204: { description: 'Removed' },
        404: notFound,
        409: problemAnswer('Rules, requests or revocations rest on it, or it is the one inside'),
      },
    }),
    async (context) => {
      await connections.remove(context.req.valid('param').id, context.get('administrator').id)
      return context.body(null, 204)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/client-certificate', {
      operationId: 'certifyCaConnection',
      summary: 'Put in the certificate for the key with which the service authenticates at the CA',
      request: { params: idInPath, body: jsonBody(clientCertificateRequest) },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound, 422: unfit },
    }),
    async (context) => {
      const { certificate } = context.req.valid('json')
      const { id } = context.req.valid('param')
      return context.json(await connections.certify(id, certificate, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/test', {
      operationId: 'testCaConnection',
      summary: 'Look whether the CA is there and lets the service in; nothing is issued',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('What the look told', caCheckAnswer), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await connections.test(id, context.get('administrator').id), 200)
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
      return context.json(await connections.pause(id, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/ca-connections/{id}/resumption', {
      operationId: 'resumeCaConnection',
      summary: 'Send to a CA again, also where its circuit was open',
      request: { params: idInPath },
      responses: { 200: jsonAnswer('The connection', caConnectionAnswer), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await connections.resume(id, context.get('administrator').id), 200)
    },
  )

  return routes
}
