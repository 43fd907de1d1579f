import type { ListedRequest } from '../../api/admin-shapes.ts'
import type { DecidedRequest } from '../../api/ca-shapes.ts'
import { approveRequest, rejectRequest } from '../approval/decide.ts'
import { createByHandAdministration, type ByHandAdministration } from '../by-hand/administration.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { listRequests, openRequest, type OpenedRequest, type RequestQuestion } from './requests.ts'
import { countRequestsByState } from './store.ts'
import type { RequestState } from '../store.ts'

/** Requests as administrators see them. */
export interface EnrolmentAdministration {
  /** One page, newest first. */
  requests(question: RequestQuestion): Promise<{ items: ListedRequest[]; next: string | null }>
  /** Null where there is none. */
  request(id: string): Promise<OpenedRequest | null>
  /** See `approveRequest`. */
  approve(request: string, by: string): Promise<DecidedRequest>
  /** See `rejectRequest`. */
  reject(request: string, by: string, explanation: string): Promise<DecidedRequest>
  counts(): Promise<Partial<Record<RequestState, number>>>
  readonly byHand: ByHandAdministration
}

export const createEnrolmentAdministration = (
  deps: EnrolmentDeps,
  engine: Pick<Engine, 'wake'>,
): EnrolmentAdministration => ({
  byHand: createByHandAdministration(deps, engine),
  requests: (question) => listRequests(deps, question),
  request: (id) => openRequest(deps, id),
  approve: (request, by) => approveRequest(deps, engine, request, by),
  reject: (request, by, explanation) => rejectRequest(deps, request, by, explanation),
  counts: async () => {
    const requests = await countRequestsByState(deps.database)
    return Object.fromEntries(requests.map((row) => [row.state, row.requests]))
  },
})
