import type { z } from 'zod'
import type { routingAnswer, routingQuestion, RoutingRule, RoutingRuleRequest } from '../../api/ca-shapes.ts'
import { timestamp } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { parseMailboxAddress } from '../../mailbox/address.ts'
import type { OpenConnection } from '../contract.ts'
import { changeRule, makeRule, removeRule, type RuleDeps } from './change.ts'
import { findDestination, ofKey, refusalOf, refusalOfKey } from './route.ts'
import { readRule, readRulesBehind, type RuleRow } from './store.ts'

type RoutingQuestion = z.output<typeof routingQuestion>
type RoutingAnswer = z.infer<typeof routingAnswer>

/** What operators see of the routing rules and do with them; `by` is an administrator's id, or the command line. */
export interface RoutingAdministration {
  /** One page, in the order in which they are tried. */
  list(question: {
    readonly limit: number
    readonly cursor?: string | undefined
  }): Promise<{ items: RoutingRule[]; next: string | null }>
  /** See `makeRule`. */
  make(request: RoutingRuleRequest, by: string): Promise<RoutingRule>
  /** See `changeRule`. */
  change(id: string, request: RoutingRuleRequest, by: string): Promise<RoutingRule>
  /** See `removeRule`. */
  remove(id: string, by: string): Promise<void>
  /** Which rule would catch a request, and what would become of it at intake. Throws what an address is refused for. */
  trial(question: RoutingQuestion): Promise<RoutingAnswer>
}

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

/** The cursor of a list in order of position: that of its last item. */
const readPosition = (cursor: string | undefined): number => {
  if (cursor === undefined) return 0
  if (!/^\d{1,6}$/.test(cursor))
    throw new DomainError('invalid_request', 'cursor: send the one that the last page gave.')
  return Number(cursor)
}

export function createRoutingAdministration(
  deps: RuleDeps & { readonly open: (id: string) => Promise<OpenConnection | null> },
): RoutingAdministration {
  const read = async (id: string): Promise<RoutingRule> => {
    const row = await readRule(deps.database, id)
    if (row === null) throw new DomainError('not_found', 'There is no such routing rule.')
    return presentRule(row)
  }
  return {
    list: async ({ limit, cursor }) => {
      const rows = await readRulesBehind(deps.database, readPosition(cursor), limit + 1)
      const page = rows.slice(0, limit)
      return { items: page.map(presentRule), next: rows.length > limit ? String(page.at(-1)?.position) : null }
    },
    make: async (request, by) => read(await makeRule(deps, request, by)),
    change: async (id, request, by) => {
      await changeRule(deps, id, request, by)
      return read(id)
    },
    remove: (id, by) => removeRule(deps, id, by),
    trial: async ({ address, accountType, use, algorithm, publicKey }) => {
      const { domain } = parseMailboxAddress(address)
      const asked = { domain, accountType, use, algorithm: ofKey[algorithm] }
      const { rule, connection } = await findDestination(deps, asked)
      const provedBy = publicKey ? 'public_key' : 'csr'
      const code =
        connection === null
          ? 'not_certified_here'
          : (refusalOf(connection.adapter.describe(), { algorithm: asked.algorithm, provedBy }) ??
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
    },
  }
}
