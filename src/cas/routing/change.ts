import { lastPosition, type RoutingRuleRequest } from '../../api/ca-shapes.ts'
import { commit, type Change } from '../../audit/commit.ts'
import type { OwnEvent } from '../../audit/entries.ts'
import { DomainError } from '../../errors.ts'
import { canonicalDomain } from '../../mailbox/domain.ts'
import { onLatestRows } from '../../ports/authority.ts'
import { ConstraintFailed } from '../../ports/database.ts'
import { randomId } from '../../ports/runtime.ts'
import { adapterKind } from '../adapters/registry.ts'
import type { CaDeps } from '../deps.ts'
import { readConnection } from '../store.ts'
import {
  deleteRule,
  insertRule,
  readRule,
  readRuleSet,
  readTrustedRules,
  sealRules,
  updateRule,
  type RuleValues,
} from './store.ts'

/** What changing a rule needs. */
export type RuleDeps = Pick<CaDeps, 'database' | 'keys' | 'events' | 'random' | 'clock' | 'audit'>

const entry = (action: string, by: string, id: string, facts: OwnEvent['facts'] = {}): OwnEvent => ({
  action: `routing_rule.${action}`,
  actorKind: 'administrator',
  actor: by,
  subjectKind: 'routing rule',
  subject: id,
  facts,
})

export const noSuchRule = (): DomainError => new DomainError('not_found', 'There is no such routing rule.')

const leadsNowhere = (): DomainError =>
  new DomainError('connection_unfit', 'There is no such CA connection. Name one that is there, or none.')

/** A domain in the form of addresses, alone or after `*.`. Throws `address_domain_invalid`. */
function normaliseDomain(asked: string): string {
  const [, below = '', name = ''] = /^(\*\.)?(.*)$/s.exec(asked) ?? []
  const domain = canonicalDomain(name)
  if (domain !== null) return below + domain
  throw new DomainError('address_domain_invalid', 'The domain must be written as example.com, or *.example.com.')
}

/** Reads a rule into its stored form. Throws `address_domain_invalid`, `invalid_request`, `connection_unfit`. */
async function readRequest(deps: RuleDeps, id: string, request: RoutingRuleRequest, by: string): Promise<RuleValues> {
  const { connectionId: connection, profile, approvals } = request
  if (connection === null && (profile !== null || approvals > 0)) {
    throw new DomainError('invalid_request', 'profile, approvals: leave them out, for this rule certifies nothing.')
  }
  if (connection !== null) await requireProfileFits(deps, connection, profile)
  return {
    id,
    position: request.position,
    domain: request.domain === null ? null : normaliseDomain(request.domain),
    accountType: request.accountType,
    use: request.use,
    algorithm: request.algorithm,
    connection,
    profile,
    approvals,
    author: by,
  }
}

async function requireProfileFits(deps: RuleDeps, connection: string, profile: string | null): Promise<void> {
  const row = await readConnection(deps, connection)
  if (row === null || row.state === 'removed') throw leadsNowhere()
  if (profile === null) return
  if (row.kind === 'embedded')
    throw new DomainError('connection_unfit', 'Leave profile out: the CA inside has just one.')
  const refusal = adapterKind(row.kind).refuseProfile(profile)
  if (refusal !== null) throw new DomainError('connection_unfit', refusal)
}

const facts = ({ position, domain, accountType, use, algorithm, connection, profile, approvals }: RuleValues) => ({
  position,
  domain,
  accountType,
  use,
  algorithm,
  connection,
  profile,
  approvals,
})

async function positionTaken({ database }: RuleDeps, asked: number): Promise<DomainError> {
  const taken = new Set((await readRuleSet(database)).rules.map(({ position }) => position))
  let free = asked + 1
  while (taken.has(free)) free += 1
  const advice = free > lastPosition ? 'choose a free one' : `the next free one is ${free}`
  return new DomainError('rule_position_taken', `Another routing rule has this position: ${advice}.`)
}

/** Commits a change that sets the position of a rule. Throws `rule_position_taken`, and `refusal` of a broken guard. */
async function commitAt(deps: RuleDeps, position: number, change: Change, refusal: () => Promise<DomainError>) {
  try {
    await commit(deps, change, async () => {
      throw await refusal()
    })
  } catch (error) {
    if (!(error instanceof ConstraintFailed) || error.kind !== 'unique') throw error
    throw await positionTaken(deps, position)
  }
}

/** The refusal where the rules that a change rests on are not those of administrators. */
const rulesForged = (): DomainError =>
  new DomainError(
    'not_certified_here',
    'The routing rules were changed in the database by somebody without the key ring, and certify nothing. Put back a backup, or remove all of them and make them anew.',
  )

/**
 * Makes a rule. Where somebody without the key ring has taken all rules away, it is the first of new ones, and its entry
 * says so. Throws `rule_position_taken`, `connection_unfit` (its connection does not exist, or has no profiles),
 * `address_domain_invalid`, `invalid_request`, `not_certified_here`.
 */
export async function makeRule(deps: RuleDeps, request: RoutingRuleRequest, by: string): Promise<string> {
  const rule = await readRequest(deps, randomId(deps.random), request, by)
  await onLatestRows(async () => {
    const trusted = await readTrustedRules(deps)
    const set = trusted ?? (await readRuleSet(deps.database))
    if (trusted === null && set.rules.length > 0) throw rulesForged()
    const commands = [...insertRule(rule, deps.clock()), ...sealRules(deps.keys, set, [...set.rules, rule])]
    const anew = trusted === null ? { anew: 'the rules before were taken away in the database' } : {}
    const audit = entry('created', by, rule.id, { ...facts(rule), ...anew })
    await commitAt(deps, rule.position, { commands, audit }, async () => leadsNowhere())
  })
  return rule.id
}

/** Replaces what a rule says; `by` becomes its author. Throws as `makeRule`, and `not_found`. */
export async function changeRule(deps: RuleDeps, id: string, request: RoutingRuleRequest, by: string): Promise<void> {
  if ((await readRule(deps.database, id)) === null) throw noSuchRule()
  const rule = await readRequest(deps, id, request, by)
  await onLatestRows(async () => {
    const set = await readTrustedRules(deps)
    if (set === null) throw rulesForged()
    const after = set.rules.map((other) => (other.id === id ? rule : other))
    const commands = [...updateRule(rule, deps.clock()), ...sealRules(deps.keys, set, after)]
    const audit = entry('changed', by, id, facts(rule))
    await commitAt(deps, rule.position, { commands, audit }, async () =>
      (await readRule(deps.database, id)) === null ? noSuchRule() : leadsNowhere(),
    )
  })
}

/**
 * Removes a rule. Requests that it caught before keep their route. Rules that nobody here wrote can be removed too; the
 * others count again once none of them is left. Throws `not_found`.
 */
export const removeRule = (deps: RuleDeps, id: string, by: string): Promise<void> =>
  onLatestRows(async () => {
    const trusted = await readTrustedRules(deps)
    const set = trusted ?? (await readRuleSet(deps.database))
    const left = set.rules.filter((rule) => rule.id !== id)
    const seals = trusted !== null || left.length === 0
    const commands = [...deleteRule(id), ...(seals ? sealRules(deps.keys, set, left) : [])]
    await commit(deps, { commands, audit: entry('removed', by, id) }, () => {
      throw noSuchRule()
    })
  })
