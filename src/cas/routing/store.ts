import { authorityOf, requireUnchanged, type AuthorityDeps } from '../../ports/authority.ts'
import type { Macs } from '../../ports/row-mac.ts'
import {
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
  type RowOf,
} from '../../ports/database.ts'
import { use } from '../../api/columns.ts'

const ruleColumns = {
  id: text,
  position: integer,
  domain: nullable(text),
  accountType: nullable(oneOf('imap', 'exchange')),
  use: nullable(use),
  algorithm: nullable(oneOf('rsa', 'ec', 'ed25519', 'x25519')),
  connection: nullable(text),
  profile: nullable(text),
  approvals: integer,
  author: text,
  createdAt: integer,
  changedAt: integer,
}

/** As `ruleColumns` reads them. */
const ruleSelection = `id, position, domain, account_type AS accountType, usage AS use, algorithm, connection, ca_profile AS profile,
  approvals, author, created_at AS createdAt, changed_at AS changedAt`

/**
 * What all rules say together, in the order in which they are tried. So a rule that is gone, or has another place, is
 * noticed too.
 */
const authority = authorityOf('routing_rules', ['id', 'rules'])
const allRules = 'all'

const inWords = (rules: readonly RuleValues[]): string =>
  JSON.stringify(
    rules
      .toSorted((a, b) => a.position - b.position)
      .map((rule) => [
        rule.id,
        rule.position,
        rule.domain,
        rule.accountType,
        rule.use,
        rule.algorithm,
        rule.connection,
        rule.profile,
        rule.approvals,
        rule.author,
      ]),
  )

/** All rules, and the MAC over them; null where somebody has deleted it, for it is made with the CA inside. */
export interface RuleSet {
  readonly rules: readonly RuleRow[]
  readonly mac: Uint8Array | null
}

const fits = (keys: Macs, { rules, mac }: RuleSet): boolean =>
  mac !== null && authority.fits(keys, { id: allRules, rules: inWords(rules), authorityMac: mac })

/** All rules as they stand there, whoever wrote them. */
export const readRuleSet = async (database: Database): Promise<RuleSet> => {
  const rows = await database.all(
    query(
      { ...ruleColumns, mac: nullable(blob) },
      `SELECT ${ruleSelection},
              (SELECT authority_mac FROM routing_rule_sets WHERE id = 'all') AS mac
       FROM routing_rules WHERE position > 0 ORDER BY position`,
    ),
  )
  const [first] = rows
  if (first !== undefined) return { rules: rows, mac: first.mac }
  const set = await database.first(
    query({ mac: blob }, `SELECT authority_mac AS mac FROM routing_rule_sets WHERE id = 'all'`),
  )
  return { rules: [], mac: set?.mac ?? null }
}

/** How often the rules are read where they do not fit: another process may change them in between. */
const readings = 3

/** All rules, if they are what administrators have made. Null otherwise, with an event. */
export const readTrustedRules = async (
  deps: AuthorityDeps & { readonly database: Database },
): Promise<RuleSet | null> => {
  for (let reading = 0; reading < readings; reading += 1) {
    const set = await readRuleSet(deps.database)
    if (fits(deps.keys, set)) return set
  }
  deps.events.authorityRefused({ table: 'routing_rules', row: allRules })
  return null
}

/** In words: whether the rules are not those that administrators have made. */
export const readRuleFaults = async (deps: { readonly database: Database; readonly keys: Macs }): Promise<string[]> =>
  fits(deps.keys, await readRuleSet(deps.database)) ? [] : ['routing_rules: the MAC over all of them does not fit']

const macOf = (keys: Pick<Macs, 'mac'>, rules: readonly RuleValues[]): Uint8Array =>
  authority.of(keys, { id: allRules, rules: inWords(rules) })

/** Says that there are no rules yet. */
export const sealFirstRules = (keys: Pick<Macs, 'mac'>): Command =>
  command(`INSERT INTO routing_rule_sets (id, authority_mac) VALUES ('all', ?)`, macOf(keys, []))

/** Puts a MAC over all rules. Guard `requireUnchanged`: nobody has changed them since they were read. */
export const sealRules = (keys: Macs, before: RuleSet, after: readonly RuleValues[]): Command[] => {
  const mac = macOf(keys, after)
  return [
    before.mac === null
      ? command(
          `INSERT INTO routing_rule_sets (id, authority_mac)
           SELECT 'all', ? WHERE NOT EXISTS (SELECT 1 FROM routing_rule_sets WHERE id = 'all')`,
          mac,
        )
      : command(
          `UPDATE routing_rule_sets SET authority_mac = ? WHERE id = 'all' AND authority_mac = ?`,
          mac,
          before.mac,
        ),
    requireUnchanged(),
  ]
}

export type RuleRow = RowOf<typeof ruleColumns>

/** One page of the rules, after a position. */
export const readRulesBehind = (database: Database, position: number, limit: number) =>
  database.all(
    query(
      ruleColumns,
      `SELECT ${ruleSelection}
       FROM routing_rules WHERE position > ? ORDER BY position LIMIT ?`,
      position,
      limit,
    ),
  )

export const readRule = (database: Database, id: string) =>
  database.first(
    query(
      ruleColumns,
      `SELECT ${ruleSelection}
       FROM routing_rules WHERE id = ?`,
      id,
    ),
  )

/** The content of a rule, and its author. */
export type RuleValues = Omit<RuleRow, 'createdAt' | 'changedAt'>

/** Inserts a rule. The connection that it names must exist. The position is unique. */
export const insertRule = (rule: RuleValues, now: number): Command[] => [
  command(
    `INSERT INTO routing_rules
       (id, position, domain, account_type, usage, algorithm, connection, ca_profile, approvals, author, created_at,
        changed_at)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
     WHERE ? IS NULL OR EXISTS (SELECT 1 FROM ca_connections k WHERE k.id = ? AND k.state <> 'removed')`,
    rule.id,
    rule.position,
    rule.domain,
    rule.accountType,
    rule.use,
    rule.algorithm,
    rule.connection,
    rule.profile,
    rule.approvals,
    rule.author,
    now,
    now,
    rule.connection,
    rule.connection,
  ),
  requireOneChange('rule_leads_nowhere'),
]

/** Replaces the content of a rule. The connection that it names must exist. */
export const updateRule = (rule: RuleValues, now: number): Command[] => [
  command(
    `UPDATE routing_rules
     SET position = ?, domain = ?, account_type = ?, usage = ?, algorithm = ?, connection = ?, ca_profile = ?,
         approvals = ?, author = ?, changed_at = ?
     WHERE id = ?
       AND (? IS NULL OR EXISTS (SELECT 1 FROM ca_connections k WHERE k.id = ? AND k.state <> 'removed'))`,
    rule.position,
    rule.domain,
    rule.accountType,
    rule.use,
    rule.algorithm,
    rule.connection,
    rule.profile,
    rule.approvals,
    rule.author,
    now,
    rule.id,
    rule.connection,
    rule.connection,
  ),
  requireOneChange('rule_leads_nowhere'),
]

export const deleteRule = (id: string): Command[] => [
  command(`DELETE FROM routing_rules WHERE id = ?`, id),
  requireOneChange('rule_gone'),
]
