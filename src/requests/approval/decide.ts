import type { DecidedRequest } from '../../api/ca-shapes.ts'
import { commandLine, type AuditEvent } from '../../audit/entries.ts'
import { DomainError } from '../../errors.ts'
import { GuardBroken, type Command } from '../../ports/database.ts'
import { sealText } from '../../ports/keys.ts'
import { standingOf } from '../administration/requests.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { approve, readDecidable, reject, type Decidable, type Decision } from './store.ts'

type DecideDeps = Pick<EnrolmentDeps, 'database' | 'keys' | 'clock' | 'audit' | 'events'>

const noSuchRequest = (): DomainError => new DomainError('not_found', 'There is no such request.')

async function requireDecidable(deps: DecideDeps, id: string, by: string): Promise<Decidable> {
  const found = await readDecidable(deps.database, id, by)
  if (found === null) throw noSuchRequest()
  return found
}

/** Two persons are needed, and this is the author of the rule as it caught the request, or nobody in person. */
const isBarred = ({ needed, ruleAuthor }: Decidable, by: string): boolean =>
  needed === 2 && (by === commandLine || by === ruleAuthor)

/** Why a decision could not be noted: said of the request as it stands now. */
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

/** A request that was decided on, now or by the same administrator before. */
interface Decided {
  readonly request: Decidable
  readonly repeated: boolean
}

/** Keeps a decision in one batch with its consequence and its audit entry. A repeat of it changes nothing. */
async function decide(deps: DecideDeps, { request, by, decision, commands, audited }: Deciding): Promise<Decided> {
  const { connection, rule } = await requireDecidable(deps, request, by)
  const entry = { ...audited, subjectKind: 'certificate request', subject: request, facts: { connection, rule } }
  try {
    await deps.database.batch([...commands, ...deps.audit.record({ ...entry, actorKind: 'administrator', actor: by })])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    const found = await requireDecidable(deps, request, by)
    if (found.decision !== decision) throw refusalOf(found, decision, by, error)
    return { request: found, repeated: true }
  }
  deps.audit.sealSoon()
  deps.events.certificateRequestDecided({ request, decision })
  return { request: await requireDecidable(deps, request, by), repeated: false }
}

async function presentDecided(deps: DecideDeps, id: string, { repeated }: Decided): Promise<DecidedRequest> {
  const standing = await standingOf(deps, id)
  if (standing === null) throw noSuchRequest()
  return { ...standing, repeated }
}

/**
 * An administrator's yes to a request that waits for it; with the last one that is needed the request goes to its CA.
 * Throws `not_found`, `request_not_in_that_state`, `decided_already`, `another_person_required`.
 */
export async function approveRequest(
  deps: DecideDeps,
  engine: Pick<Engine, 'wake'>,
  request: string,
  by: string,
): Promise<DecidedRequest> {
  const commands = approve({ request, administrator: by, localOperator: commandLine, at: deps.clock() })
  const audited = { action: 'certificate.request_approved' }
  const decided = await decide(deps, { request, by, decision: 'approved', commands, audited })
  if (decided.request.state === 'received') engine.wake(decided.request.connection)
  return presentDecided(deps, request, decided)
}

/**
 * An administrator's no, which ends a request; `explanation` is shown to the person whose request it is. The author of
 * the rule may say it too: it has nothing issued. Throws `not_found`, `request_not_in_that_state`, `decided_already`.
 */
export async function rejectRequest(
  deps: DecideDeps,
  request: string,
  by: string,
  explanation: string,
): Promise<DecidedRequest> {
  const place = { table: 'certificate_requests', column: 'explanation_sealed', row: request }
  const explanationSealed = sealText(deps.keys.main, place, explanation)
  const commands = reject({ request, administrator: by, at: deps.clock() }, explanationSealed)
  const audited = { action: 'certificate.request_rejected', personal: { explanation } }
  const decided = await decide(deps, { request, by, decision: 'rejected', commands, audited })
  return presentDecided(deps, request, decided)
}
