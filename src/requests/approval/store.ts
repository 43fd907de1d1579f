import type { Macs } from '../../ports/row-mac.ts'
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
import { decisionAuthority, state } from '../store.ts'
import { toReceivedIfApproved, toRejectedByApprover } from '../transitions.ts'

export type Decision = 'approved' | 'rejected'

/** A request as those see it who decide on it, and what `administrator` has said of it. */
export const readDecidable = (database: Database, request: string, administrator: string) =>
  database.first(
    query(
      {
        state,
        reason: nullable(text),
        connection: text,
        rule: nullable(text),
        ruleAuthor: nullable(text),
        needed: integer,
        given: integer,
        decision: nullable(oneOf('approved', 'rejected')),
      },
      `SELECT r.state, r.reason, r.connection, r.rule, r.rule_author AS ruleAuthor, r.approvals_needed AS needed,
              (SELECT COUNT(*) FROM request_approvals a WHERE a.request = r.id AND a.decision = 'approved') AS given,
              (SELECT a.decision FROM request_approvals a WHERE a.request = r.id AND a.administrator = ?) AS decision
       FROM certificate_requests r WHERE r.id = ?`,
      administrator,
      request,
    ),
  )
export type Decidable = NonNullable<Awaited<ReturnType<typeof readDecidable>>>

/** A decision on a request. `localOperator`: the actor that is no person of its own. */
interface Vote {
  readonly request: string
  readonly administrator: string
  readonly localOperator: string
  readonly at: number
}

/**
 * Notes an approval. With the last one that is needed the request goes on its way. Guard `not_approvable`: the request
 * does not wait for an approval; this administrator has decided already; mailbox or device has ended; or two persons are
 * needed, and this is the author of the rule, or no person of its own.
 */
export const insertApproval = (keys: Macs, vote: Vote): Command[] => [
  command(
    `INSERT INTO request_approvals (request, administrator, decision, at, authority_mac)
     SELECT r.id, ?, 'approved', ?, ?
     FROM certificate_requests r JOIN mailboxes m ON m.id = r.mailbox JOIN devices d ON d.id = r.device
     WHERE r.id = ? AND r.state = 'awaiting_approval' AND m.ended_at IS NULL AND d.ended_at IS NULL
       AND (r.approvals_needed < 2 OR (? <> ? AND r.rule_author IS NOT ?))
       AND NOT EXISTS (SELECT 1 FROM request_approvals a WHERE a.request = r.id AND a.administrator = ?)`,
    vote.administrator,
    vote.at,
    decisionAuthority.of(keys, {
      id: vote.request,
      administrator: vote.administrator,
      decision: 'approved',
      at: vote.at,
    }),
    vote.request,
    vote.administrator,
    vote.localOperator,
    vote.administrator,
    vote.administrator,
  ),
  requireOneChange('not_approvable'),
  toReceivedIfApproved(vote.request, vote.at),
]

/** Notes a rejection, which ends the request. Guard `not_rejectable`: see `toRejectedByApprover`. */
export const insertRejection = (
  keys: Macs,
  vote: Omit<Vote, 'localOperator'>,
  explanationSealed: Uint8Array,
): Command[] => [
  ...toRejectedByApprover(vote, explanationSealed),
  command(
    `INSERT INTO request_approvals (request, administrator, decision, at, authority_mac)
     VALUES (?, ?, 'rejected', ?, ?)`,
    vote.request,
    vote.administrator,
    vote.at,
    decisionAuthority.of(keys, {
      id: vote.request,
      administrator: vote.administrator,
      decision: 'rejected',
      at: vote.at,
    }),
  ),
]
