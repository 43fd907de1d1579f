import { routingAnswer, routingQuestion, routingRule, routingRuleRequest } from '../../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer } from '../../api/room.ts'
import { pageOf, pageQuery } from '../../api/shapes.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'

const positionTaken = problemAnswer('Another rule has this position')
const unfit = problemAnswer('It leads nowhere, or does not fit the CA that it leads to')

/** Routing rules: which requests go to which CA, and which of them persons must approve. */
export function routingRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()
  const { routing } = deps.enrolment.administration

  routes.openapi(
    adminRoute('get', '/v1/admin/routing-rules', {
      operationId: 'listRoutingRules',
      summary: 'The rules in the order in which they are tried; where none fits, the CA inside is asked',
      request: { query: pageQuery },
      responses: { 200: jsonAnswer('One page', pageOf(routingRule)) },
    }),
    async (context) => context.json(await routing.list(context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/routing-rules', {
      operationId: 'makeRoutingRule',
      summary: 'Make a rule; it decides on requests from now on',
      request: { body: jsonBody(routingRuleRequest) },
      responses: { 201: jsonAnswer('The rule', routingRule), 409: positionTaken, 422: unfit },
    }),
    async (context) => {
      const { id } = context.get('administrator')
      return context.json(await routing.make(context.req.valid('json'), id), 201)
    },
  )

  routes.openapi(
    adminRoute('put', '/v1/admin/routing-rules/{id}', {
      operationId: 'changeRoutingRule',
      summary: 'Put another rule in its place; who does so is its author from now on',
      request: { params: idInPath, body: jsonBody(routingRuleRequest) },
      responses: { 200: jsonAnswer('The rule', routingRule), 404: notFound, 409: positionTaken, 422: unfit },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      return context.json(await routing.change(id, context.req.valid('json'), context.get('administrator').id), 200)
    },
  )

  routes.openapi(
    adminRoute('delete', '/v1/admin/routing-rules/{id}', {
      operationId: 'removeRoutingRule',
      summary: 'Remove a rule; requests that it caught go on as it said',
      request: { params: idInPath },
      responses: { 204: { description: 'Removed' }, 404: notFound },
    }),
    async (context) => {
      await routing.remove(context.req.valid('param').id, context.get('administrator').id)
      return context.body(null, 204)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/routing-rules/trial', {
      operationId: 'tryRoutingRules',
      summary: 'Which rule would catch a request; it tells nothing of whether there is such a mailbox',
      request: { body: jsonBody(routingQuestion) },
      responses: { 200: jsonAnswer('Where it would go', routingAnswer), 422: problemAnswer('This is no address') },
    }),
    async (context) => context.json(await routing.trial(context.req.valid('json')), 200),
  )

  return routes
}
