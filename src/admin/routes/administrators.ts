import {
  administratorAnswer,
  administratorChange,
  administratorCredential,
  administratorRequest,
  administratorSelf,
  bootstrapRequest,
} from '../../api/admin-shapes.ts'
import {
  bearer,
  createRoute,
  createRoutes,
  idInPath,
  jsonAnswer,
  jsonBody,
  notFound,
  problemAnswer,
  unauthorized,
} from '../../api/room.ts'
import { pageOf, pageQuery } from '../../api/shapes.ts'
import {
  changeRoles,
  createAdministrator,
  describeSelf,
  listAdministrators,
  removeAdministrator,
  renewLostCredential,
  rotateAdministratorCredential,
} from '../administrators.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import { bootstrapAdministrator } from '../bootstrap.ts'
import type { AdminDeps } from '../deps.ts'

const lastOwner = problemAnswer('The service would be left without an owner')

const bootstrapRoute = createRoute({
  operationId: 'bootstrapAdministrator',
  tags: ['Administration'],
  method: 'post',
  path: '/v1/admin/bootstrap',
  summary: 'Make the first administrator, with the secret behind ADMIN_BOOTSTRAP_SHA256',
  security: bearer,
  request: { body: jsonBody(bootstrapRequest) },
  responses: {
    201: jsonAnswer('An owner, with the credential that is shown once', administratorCredential),
    401: unauthorized,
    403: problemAnswer('There is or was an administrator, or the secret is not the one that was set'),
  },
})

/** Administrators: who is asking, who there are, how they come and go. */
export function administratorRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(bootstrapRoute, async (context) => {
    const { name } = context.req.valid('json')
    return context.json(await bootstrapAdministrator(deps, context.req.header('Authorization'), name), 201)
  })

  routes.openapi(
    adminRoute('get', '/v1/admin/me', {
      operationId: 'readAdministratorSelf',
      summary: 'Who you are as an administrator',
      responses: { 200: jsonAnswer('You', administratorSelf) },
    }),
    async (context) => context.json(await describeSelf(deps, context.get('administrator')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/credential', {
      operationId: 'rotateAdministratorCredential',
      summary: 'Get your next credential; the present one works until the next one is used',
      responses: { 201: jsonAnswer('The credential, shown once', administratorCredential) },
    }),
    async (context) => context.json(await rotateAdministratorCredential(deps, context.get('administrator')), 201),
  )

  routes.openapi(
    adminRoute('get', '/v1/admin/administrators', {
      operationId: 'listAdministrators',
      summary: 'The administrators, newest first, ended ones too',
      request: { query: pageQuery },
      responses: { 200: jsonAnswer('One page', pageOf(administratorAnswer)) },
    }),
    async (context) => context.json(await listAdministrators(deps, context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/administrators', {
      operationId: 'createAdministrator',
      summary: 'Make an administrator',
      request: { body: jsonBody(administratorRequest) },
      responses: { 201: jsonAnswer('With the credential that is shown once', administratorCredential) },
    }),
    async (context) => {
      const { id } = context.get('administrator')
      return context.json(await createAdministrator(deps, context.req.valid('json'), id), 201)
    },
  )

  routes.openapi(
    adminRoute('patch', '/v1/admin/administrators/{id}', {
      operationId: 'changeAdministratorRoles',
      summary: 'Give an administrator other roles',
      request: { params: idInPath, body: jsonBody(administratorChange) },
      responses: { 200: jsonAnswer('With these roles', administratorAnswer), 404: notFound, 409: lastOwner },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const { roles } = context.req.valid('json')
      return context.json(await changeRoles(deps, id, roles, context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('delete', '/v1/admin/administrators/{id}', {
      operationId: 'endAdministrator',
      summary: 'End an administrator, and the credentials at once',
      request: { params: idInPath },
      responses: { 204: { description: 'Ended' }, 404: notFound, 409: lastOwner },
    }),
    async (context) => {
      await removeAdministrator(deps, context.req.valid('param').id, context.get('administrator').id)
      return context.body(null, 204)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/administrators/{id}/credential', {
      operationId: 'replaceAdministratorCredential',
      summary: 'Make a new credential for an administrator who lost it; the old one stops working',
      request: { params: idInPath },
      responses: { 201: jsonAnswer('The credential, shown once', administratorCredential), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await renewLostCredential(deps, id, context.get('administrator').id), 201)
    },
  )

  return routes
}
