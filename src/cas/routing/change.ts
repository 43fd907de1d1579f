import { lastPosition, type RoutingRuleRequest } from '../../api/ca-shapes.ts'
import type { AuditEvent } from '../../audit/entries.ts'
import type { AuditRoom } from '../../audit/room.ts'
import { DomainError } from '../../errors.ts'
import { canonicalDomain } from '../../mailbox/domain.ts'
import { ConstraintFailed, GuardBroken, type Command, type Database } from '../../ports/database.ts'
import { randomId, type Clock, type Random } from '../../ports/runtime.ts'
import { isEstLabel } from '../adapters/est/est.ts'
import { readConnection } from '../store.ts'
import { deleteRule, insertRule, readRule, readRules, updateRule, type RuleValues } from './store.ts'

/** What the verbs of routing rules need. */
export interface RuleDeps {
  readonly database: Database
  readonly random: Random
  readonly clock: Clock
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
}

const entry = (action: string, by: string, id: string, facts: AuditEvent['facts'] = {}): AuditEvent => ({
  action: `routing_rule.${action}`,
  actorKind: 'administrator',
  actor: by,
  subjectKind: 'routing rule',
  subject: id,
  facts,
})

const noSuchRule = (): DomainError => new DomainError('not_found', 'There is no such routing rule.')

const leadsNowhere = (): DomainError =>
  new DomainError('connection_unfit', 'There is no such CA connection. Name one that is there, or none.')

/** A domain as addresses have it, alone or with `*.` before it. Throws `address_domain_invalid`. */
function normaliseDomain(asked: string): string {
  const [, below = '', name = ''] = /^(\*\.)?(.*)$/s.exec(asked) ?? []
  const domain = canonicalDomain(name)
  if (domain !== null) return below + domain
  throw new DomainError('address_domain_invalid', 'The domain must be written as example.com, or *.example.com.')
}

/** What a rule is to say, in its one form. Throws `address_domain_invalid`, `invalid_request`, `connection_unfit`. */
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

async function requireProfileFits({ database }: RuleDeps, connection: string, profile: string | null): Promise<void> {
  const row = await readConnection(database, connection)
  if (row === null || row.state === 'removed') throw leadsNowhere()
  if (profile === null) return
  if (row.kind === 'embedded')
    throw new DomainError('connection_unfit', 'Leave profile out: the CA inside has just one.')
  if (row.kind === 'est' && !isEstLabel(profile)) {
    throw new DomainError(
      'connection_unfit',
      'The profile must be a label of an EST path: letters, digits, dots, hyphens.',
    )
  }
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
  const taken = new Set((await readRules(database)).map(({ position }) => position))
  let free = asked + 1
  while (taken.has(free)) free += 1
  const advice = free > lastPosition ? 'choose a free one' : `the next free one is ${free}`
  return new DomainError('rule_position_taken', `Another routing rule has this position: ${advice}.`)
}

/** Runs a batch; what of it the schema or a guard refuses is said in words. `position`: which it gives to a rule. */
async function write(
  deps: RuleDeps,
  commands: readonly Command[],
  explain: () => Promise<DomainError>,
  position: number | null,
): Promise<void> {
  try {
    await deps.database.batch(commands)
  } catch (error) {
    if (error instanceof GuardBroken) throw await explain()
    if (error instanceof ConstraintFailed && error.kind === 'unique' && position !== null) {
      throw await positionTaken(deps, position)
    }
    throw error
  }
  deps.audit.sealSoon()
}

/**
 * Makes a rule. Throws `rule_position_taken`, `connection_unfit` where its connection is not there or has no profiles,
 * `address_domain_invalid`, `invalid_request`.
 */
export async function makeRule(deps: RuleDeps, request: RoutingRuleRequest, by: string): Promise<string> {
  const rule = await readRequest(deps, randomId(deps.random), request, by)
  await write(
    deps,
    [...insertRule(rule, deps.clock()), ...deps.audit.record(entry('created', by, rule.id, facts(rule)))],
    async () => leadsNowhere(),
    rule.position,
  )
  return rule.id
}

/** Gives a rule other words, and with them another author. Throws as `makeRule`, and `not_found`. */
export async function changeRule(deps: RuleDeps, id: string, request: RoutingRuleRequest, by: string): Promise<void> {
  if ((await readRule(deps.database, id)) === null) throw noSuchRule()
  const rule = await readRequest(deps, id, request, by)
  await write(
    deps,
    [...updateRule(rule, deps.clock()), ...deps.audit.record(entry('changed', by, id, facts(rule)))],
    async () => ((await readRule(deps.database, id)) === null ? noSuchRule() : leadsNowhere()),
    rule.position,
  )
}

/** Removes a rule; requests that it caught before go on as it said. Throws `not_found`. */
export async function removeRule(deps: RuleDeps, id: string, by: string): Promise<void> {
  await write(deps, [...deleteRule(id), ...deps.audit.record(entry('removed', by, id))], async () => noSuchRule(), null)
}
