import {
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
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

/** All rules, in the order in which they are tried. */
export const readRules = (database: Database) =>
  database.all(
    query(
      ruleColumns,
      `SELECT id, position, domain, account_type AS accountType, usage AS use, algorithm, connection,
              ca_profile AS profile, approvals, author, created_at AS createdAt, changed_at AS changedAt
       FROM routing_rules WHERE position > 0 ORDER BY position`,
    ),
  )
export type RuleRow = Awaited<ReturnType<typeof readRules>>[number]

/** One page of the rules, after a position. */
export const readRulesBehind = (database: Database, position: number, limit: number) =>
  database.all(
    query(
      ruleColumns,
      `SELECT id, position, domain, account_type AS accountType, usage AS use, algorithm, connection,
              ca_profile AS profile, approvals, author, created_at AS createdAt, changed_at AS changedAt
       FROM routing_rules WHERE position > ? ORDER BY position LIMIT ?`,
      position,
      limit,
    ),
  )

export const readRule = (database: Database, id: string) =>
  database.first(
    query(
      ruleColumns,
      `SELECT id, position, domain, account_type AS accountType, usage AS use, algorithm, connection,
              ca_profile AS profile, approvals, author, created_at AS createdAt, changed_at AS changedAt
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
