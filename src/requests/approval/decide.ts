import type { DecidedRequest } from '../../api/ca-shapes.ts'
import { commit } from '../../audit/commit.ts'
import { commandLine, type AuditEvent } from '../../audit/entries.ts'
import { DomainError } from '../../errors.ts'
import type { Command, GuardBroken } from '../../ports/database.ts'
import { sealText } from '../../ports/keys.ts'
import type { CommitDeps, RequestDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { readStanding } from '../reading/read.ts'
import { insertApproval, insertRejection, readDecidable, type Decidable, type Decision } from './store.ts'

type DecideDeps = CommitDeps & Pick<RequestDeps, 'clock' | 'events'>

async function requireDecidable(deps: CommitDeps, id: string, by: string): Promise<Decidable> {
  const found = await readDecidable(deps.database, id, by)
  if (found === null) throw new DomainError('not_found', 'There is no such request.')
  return found
}

/** Whether two persons are needed, and this is the author of the rule as it caught the request, or nobody in person. */
const isBarred = ({ needed, ruleAuthor }: Decidable, by: string): boolean =>
  needed === 2 && (by === commandLine || by === ruleAuthor)

/** Why a decision could not be noted, of the request as it stands now. */
function refusalOf(found: Decidable, decision: Decision, by: string, cause: GuardBroken): DomainError {
  const isDecided = found.reason === 'rejected_by_approver' || (found.needed > 0 && found.given >= found.needed)
  if (found.decision !== null) {
    return new DomainError('decided_already', 'You have said otherwise of this request before.', { cause })
  }
  if (isDecided) return new DomainError('decided_already', 'Others have decided on this request.', { cause })
  if (found.state === 'awaiting_approval' && decision === 'approved' && isBarred(found, by)) {
    return new DomainError(
      'another_person_required',
      'Two administrators must approve this request, each with a credential of their own, and neither may have ' +
        'written the rule that caught it.',
      { cause },
    )
  }
  return new DomainError(
    'request_not_in_that_state',
    'The request does not wait for an approval, or its mailbox or device has ended: read it again.',
    { cause },
  )
}

/** A decision with what it takes to keep it. */
interface Deciding {
  readonly request: string
  readonly by: string
  readonly decision: Decision
  readonly commands: readonly Command[]
  readonly audited: Pick<AuditEvent, 'action' | 'personal'>
}

/** Keeps a decision in one batch with its consequence and its audit entry. A repeat of it changes nothing. */
async function decide(
  deps: DecideDeps,
  { request, by, decision, commands, audited }: Deciding,
): Promise<DecidedRequest & { readonly connection: string }> {
  const { connection, rule } = await requireDecidable(deps, request, by)
  const subject = { subjectKind: 'certificate request', subject: request, facts: { connection, rule } }
  const audit = { ...audited, ...subject, actorKind: 'administrator', actor: by } as const
  const kept = await commit(deps, { commands, audit }, async (cause) => {
    const found = await requireDecidable(deps, request, by)
    if (found.decision !== decision) throw refusalOf(found, decision, by, cause)
    return null
  })
  if (kept !== null) deps.events.certificateRequestDecided({ request, decision })
  return { ...(await readStanding(deps, request)), repeated: kept === null, connection }
}

/**
 * Notes an administrator's yes to a request that waits for it. With the last one that is needed the request goes to its
 * CA. Throws `not_found`, `request_not_in_that_state`, `decided_already`, `another_person_required`.
 */
export async function approveRequest(
  deps: DecideDeps & Pick<RequestDeps, 'keys'>,
  engine: Pick<Engine, 'wake'>,
  request: string,
  by: string,
): Promise<DecidedRequest> {
  const commands = insertApproval(deps.keys, {
    request,
    administrator: by,
    localOperator: commandLine,
    at: deps.clock(),
  })
  const audited = { action: 'certificate.request_approved' }
  const { connection, ...decided } = await decide(deps, { request, by, decision: 'approved', commands, audited })
  if (decided.state === 'received') engine.wake(connection)
  return decided
}

/** An administrator's no. The explanation is shown to the person whose request it is. */
export interface Rejection {
  readonly by: string
  readonly explanation: string
}

/**
 * Ends a request by an administrator's no. The author of the rule may say it too: it has nothing issued. Throws
 * `not_found`, `request_not_in_that_state`, `decided_already`.
 */
export async function rejectRequest(
  deps: DecideDeps & Pick<RequestDeps, 'keys'>,
  request: string,
  { by, explanation }: Rejection,
): Promise<DecidedRequest> {
  const place = { table: 'certificate_requests', column: 'explanation_sealed', row: request }
  const explanationSealed = sealText(deps.keys.main, place, explanation)
  const commands = insertRejection(deps.keys, { request, administrator: by, at: deps.clock() }, explanationSealed)
  const audited = { action: 'certificate.request_rejected', personal: { explanation } }
  const { connection: _, ...decided } = await decide(deps, { request, by, decision: 'rejected', commands, audited })
  return decided
}
