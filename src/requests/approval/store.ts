import { authorityOf, pageOfFaults, type AuthorityDeps, type Macs } from '../../ports/authority.ts'
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
} from '../../ports/database.ts'
import { state } from '../store.ts'
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

/** What an approval grants: it is one person's word on one request. */
const authority = authorityOf('request_approvals', ['id', 'administrator', 'decision', 'at'])

const decisionColumns = {
  id: text,
  administrator: text,
  decision: oneOf('approved', 'rejected'),
  at: integer,
  authorityMac: blob,
}

/** How many administrators have approved a request. What nobody of them said does not count. */
export const countApprovals = async (deps: AuthorityDeps & { readonly database: Database }, request: string) => {
  const rows = await deps.database.all(
    query(
      decisionColumns,
      `SELECT request AS id, administrator, decision, at, authority_mac AS authorityMac
       FROM request_approvals WHERE request = ?`,
      request,
    ),
  )
  return rows.filter((row) => row.decision === 'approved' && authority.trusted(deps, row) !== null).length
}

/** The decisions on one page of all requests, by id: in words, those whose MAC does not fit. */
export const readDecisionFaults = async (
  { database, keys }: { readonly database: Database; readonly keys: Macs },
  after: string,
  limit: number,
) => {
  const requests = await database.all(
    query(
      { id: text },
      `SELECT DISTINCT request AS id FROM request_approvals WHERE request > ? ORDER BY request LIMIT ?`,
      after,
      limit,
    ),
  )
  const rows = await database.all(
    query(
      decisionColumns,
      `SELECT request AS id, administrator, decision, at, authority_mac AS authorityMac
       FROM request_approvals WHERE request IN (SELECT value FROM json_each(?))`,
      JSON.stringify(requests.map(({ id }) => id)),
    ),
  )
  return pageOfFaults(requests, authority.faults(keys, rows))
}

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
    authority.of(keys, { id: vote.request, administrator: vote.administrator, decision: 'approved', at: vote.at }),
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
    authority.of(keys, { id: vote.request, administrator: vote.administrator, decision: 'rejected', at: vote.at }),
  ),
]
