import type { RequestCsr, RequestStanding } from '../../api/ca-shapes.ts'
import { DomainError } from '../../errors.ts'
import { standingOf } from '../administration/requests.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { bringCertificate } from './bring.ts'
import { csrOfRequest } from './csr.ts'
import { cancelByHand, settleRequest } from './settle.ts'

/** What operators do to requests; `by` is the administrator who does it. Each resolves to how the request stands then. */
export interface ByHandAdministration {
  /** See `csrOfRequest`. */
  csr(id: string): Promise<RequestCsr>
  /** See `bringCertificate`. */
  bring(id: string, pem: string, by: string): Promise<RequestStanding>
  /** See `settleRequest`. */
  settle(id: string, outcome: 'submit_again' | 'failed', by: string): Promise<RequestStanding>
  /** See `cancelByHand`. */
  cancel(id: string, by: string): Promise<RequestStanding>
}

export function createByHandAdministration(deps: EnrolmentDeps, engine: Pick<Engine, 'wake'>): ByHandAdministration {
  const standing = async (id: string): Promise<RequestStanding> => {
    const found = await standingOf(deps, id)
    if (found === null) throw new DomainError('not_found', 'There is no such request.')
    return found
  }
  return {
    csr: (id) => csrOfRequest(deps, id),
    bring: async (id, pem, by) => {
      await bringCertificate(deps, id, pem, by)
      return standing(id)
    },
    settle: async (id, outcome, by) => {
      await settleRequest(deps, engine, id, outcome, by)
      return standing(id)
    },
    cancel: async (id, by) => {
      await cancelByHand(deps, id, by)
      return standing(id)
    },
  }
}
