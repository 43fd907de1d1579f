import assert from 'node:assert/strict'
import type { Api } from './api.ts'
import type { RoomHarness } from './engines.ts'

export type Role = 'owner' | 'operator' | 'approver' | 'privacy' | 'auditor'
export const allRoles: readonly Role[] = ['owner', 'operator', 'approver', 'privacy', 'auditor']

export interface Administrator {
  readonly id: string
  readonly credential: string
  /** Speaks with the credential. */
  readonly api: Api
}

/** The machine's own operator, who may do everything. */
export const localOperator = (harness: RoomHarness): Api =>
  harness.api.with(harness.service.administration.localOperator())

/** Makes an administrator over the API. */
export async function makeAdministrator(harness: RoomHarness, ...roles: readonly Role[]): Promise<Administrator> {
  const made = await localOperator(harness).post('/v1/admin/administrators', {
    name: `An ${roles.join(' and ')}`,
    roles,
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id, credential } = made.body
  return { id, credential, api: harness.api.with(credential) }
}
