import type { CaAdapter } from './adapters/contract.ts'

const refusal = {
  failure: 'credential_refused',
  caSaid: 'Nothing was sent: the connection has no credential yet.',
} as const

/**
 * The adapter of a connection that has nothing to prove itself with: nothing is sent, so that orders wait, and what is
 * under way at the CA stays as it is.
 */
export const withoutCredentials = (adapter: CaAdapter): CaAdapter => ({
  describe: () => adapter.describe(),
  check: async () => ({ kind: 'not_ready', ...refusal }),
  submit: async () => ({ kind: 'transient', ...refusal, retryAfterSeconds: null }),
  ...(adapter.poll === undefined
    ? {}
    : { poll: async (_order, state) => ({ kind: 'pending', state, retryAfterSeconds: null, waitsFor: null }) }),
  ...(adapter.find === undefined ? {} : { find: async (_order, state) => ({ kind: 'unknown', ...refusal, state }) }),
  ...(adapter.revoke === undefined
    ? {}
    : { revoke: async () => ({ kind: 'transient', ...refusal, retryAfterSeconds: null }) }),
})
