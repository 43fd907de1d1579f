import { readingRequest, subscriberReading, subscriberSearch } from '../../api/admin-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound } from '../../api/room.ts'
import { pageOf } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import type { AdminRoute } from '../../api/admin-route.ts'
import type { AdminDeps } from '../deps.ts'
import { lookAtSubscriber, searchSubscriber } from '../subscribers.ts'

/** Look-ups of subscribers, for administrators who answer them. */
export function subscriberRoutes(deps: AdminDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(
    adminRoute('post', '/v1/admin/subscribers/search', {
      operationId: 'searchSubscribers',
      summary: 'The subscriber of an address; the search is audited with its reason',
      request: { body: jsonBody(subscriberSearch) },
      responses: { 200: jsonAnswer('The subscriber, or nothing', pageOf(subscriberReading)) },
    }),
    async (context) => {
      const items = await searchSubscriber(deps, context.get('administrator'), context.req.valid('json'))
      return context.json({ items, next: null }, 200)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/subscribers/{id}/reading', {
      operationId: 'readSubscriber',
      summary: 'A subscriber by id; the call is audited with its reason',
      request: { params: idInPath, body: jsonBody(readingRequest) },
      responses: { 200: jsonAnswer('The subscriber', subscriberReading), 404: notFound },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      const found = await lookAtSubscriber(deps, context.get('administrator'), id, context.req.valid('json').reason)
      if (found === null) throw new DomainError('not_found', 'There is no such subscriber.')
      return context.json(found, 200)
    },
  )

  return routes
}
