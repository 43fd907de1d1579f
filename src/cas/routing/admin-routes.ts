import type { z } from 'zod'
import type { AdminRoute } from '../../api/admin-route.ts'
import {
  routingAnswer,
  routingQuestion,
  routingRule,
  routingRuleRequest,
  type RoutingRule,
} from '../../api/ca-shapes.ts'
import { createRoutes, idInPath, jsonAnswer, jsonBody, notFound, problemAnswer, timestamp } from '../../api/room.ts'
import { pageOf, pageQuery } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import { parseMailboxAddress } from '../../mailbox/address.ts'
import { changeRule, makeRule, noSuchRule, removeRule, type RuleDeps } from './change.ts'
import { findDestination, ofKey, refusalOfRequest, refusalOfKey, type RouteDeps } from './route.ts'
import { readRule, readRulesBehind, type RuleRow } from './store.ts'

const presentRule = (row: RuleRow): RoutingRule => ({
  id: row.id,
  position: row.position,
  domain: row.domain,
  accountType: row.accountType,
  use: row.use,
  algorithm: row.algorithm,
  connectionId: row.connection,
  profile: row.profile,
  approvals: row.approvals,
  author: row.author,
  createdAt: timestamp(row.createdAt),
  changedAt: timestamp(row.changedAt),
})

/** The cursor of a list by position: the position of its last item. */
const readPosition = (cursor: string | undefined): number => {
  if (cursor === undefined) return 0
  if (!/^\d{1,6}$/.test(cursor))
    throw new DomainError('invalid_request', 'cursor: send the one that the last page gave.')
  return Number(cursor)
}

/** One page of the rules, in the order in which they are tried. */
async function listRules(
  { database }: Pick<RuleDeps, 'database'>,
  { limit, cursor }: z.output<typeof pageQuery>,
): Promise<{ items: RoutingRule[]; next: string | null }> {
  const rows = await readRulesBehind(database, readPosition(cursor), limit + 1)
  const page = rows.slice(0, limit)
  return { items: page.map(presentRule), next: rows.length > limit ? String(page.at(-1)?.position) : null }
}

async function showRule({ database }: Pick<RuleDeps, 'database'>, id: string): Promise<RoutingRule> {
  const row = await readRule(database, id)
  if (row === null) throw noSuchRule()
  return presentRule(row)
}

/** Which rule would catch a request, and what would happen to the request. Throws the refusals of the address. */
async function tryRules(
  deps: RouteDeps,
  { address, accountType, use, algorithm, publicKey }: z.output<typeof routingQuestion>,
): Promise<z.infer<typeof routingAnswer>> {
  const { domain } = parseMailboxAddress(address)
  const asked = { domain, accountType, use, algorithm: ofKey[algorithm] }
  const { rule, connection } = await findDestination(deps, asked)
  const provedBy = publicKey ? 'public_key' : 'csr'
  const code =
    connection === null
      ? 'not_certified_here'
      : (refusalOfRequest(connection.adapter.describe(), { algorithm: asked.algorithm, provedBy }) ??
        refusalOfKey(asked.algorithm, { use, profile: connection.keyPolicy }))
  return {
    rule: rule === null ? null : presentRule(rule),
    outcome: code === null ? 'accepted' : 'refused',
    code,
    connectionId: connection?.id ?? null,
    connectionName: connection?.name ?? null,
    connectionState: connection?.state ?? null,
    profile: rule?.profile ?? null,
    approvals: rule?.approvals ?? 0,
  }
}

const positionTaken = problemAnswer('Another rule has this position')
const unfit = problemAnswer('It leads nowhere, or does not fit the CA that it leads to')

/** Administrators' routes for the rules: which requests go to which CA, and which of them people must approve. */
export function routingAdminRoutes(deps: RuleDeps & RouteDeps, adminRoute: AdminRoute) {
  const routes = createRoutes()

  routes.openapi(
    adminRoute('get', '/v1/admin/routing-rules', {
      operationId: 'listRoutingRules',
      summary: 'The rules in the order in which they are tried; if none fits, the CA inside issues',
      request: { query: pageQuery },
      responses: { 200: jsonAnswer('One page', pageOf(routingRule)) },
    }),
    async (context) => context.json(await listRules(deps, context.req.valid('query')), 200),
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/routing-rules', {
      operationId: 'makeRoutingRule',
      summary: 'Make a rule; it decides on requests from now on',
      request: { body: jsonBody(routingRuleRequest) },
      responses: { 201: jsonAnswer('The rule', routingRule), 409: positionTaken, 422: unfit },
    }),
    async (context) => {
      const made = await makeRule(deps, context.req.valid('json'), context.get('administrator').id)
      return context.json(await showRule(deps, made), 201)
    },
  )

  routes.openapi(
    adminRoute('put', '/v1/admin/routing-rules/{id}', {
      operationId: 'changeRoutingRule',
      summary: 'Replace a rule; whoever replaces it becomes its author',
      request: { params: idInPath, body: jsonBody(routingRuleRequest) },
      responses: { 200: jsonAnswer('The rule', routingRule), 404: notFound, 409: positionTaken, 422: unfit },
    }),
    async (context) => {
      const { id } = context.req.valid('param')
      await changeRule(deps, id, context.req.valid('json'), context.get('administrator').id)
      return context.json(await showRule(deps, id), 200)
    },
  )

  routes.openapi(
    adminRoute('delete', '/v1/admin/routing-rules/{id}', {
      operationId: 'removeRoutingRule',
      summary: 'Remove a rule; requests that it caught keep their route',
      request: { params: idInPath },
      responses: { 204: { description: 'Removed' }, 404: notFound },
    }),
    async (context) => {
      await removeRule(deps, context.req.valid('param').id, context.get('administrator').id)
      return context.body(null, 204)
    },
  )

  routes.openapi(
    adminRoute('post', '/v1/admin/routing-rules/trial', {
      operationId: 'tryRoutingRules',
      summary: 'Which rule would catch a request; the mailbox need not exist',
      request: { body: jsonBody(routingQuestion) },
      responses: { 200: jsonAnswer('Where it would go', routingAnswer), 422: problemAnswer('This is no address') },
    }),
    async (context) => context.json(await tryRules(deps, context.req.valid('json')), 200),
  )

  return routes
}
