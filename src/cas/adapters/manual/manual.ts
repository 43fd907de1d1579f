import { z } from 'zod'
import { manualFacts, type ManualSettings } from '../../../api/ca-kinds/manual.ts'
import type { CaAdapter } from '../contract.ts'
import { clientKeyFields, defineKind } from '../kind.ts'

/**
 * A CA that a person goes to: an offline one, or the portal of a public one. An operator takes the CSR there, and the
 * order waits until the operator brings the certificate. The operator also has certificates revoked there.
 */
export function createManualCa({ mailboxChallenge }: ManualSettings): CaAdapter {
  return {
    describe: () => ({
      acceptsPublicKey: false,
      takesContentFromCsr: true,
      algorithms: ['RSA', 'EC', 'Ed25519'],
      keepsNothing: false,
      answersAgain: true,
      byHand: true,
    }),
    check: async () => ({ kind: 'ready', facts: {} }),
    submit: async ({ provedBy }) =>
      provedBy === 'csr'
        ? {
            kind: 'pending',
            state: null,
            retryAfterSeconds: null,
            waitsFor: mailboxChallenge === null ? null : 'ca_mailbox_challenge',
          }
        : { kind: 'permanent', failure: 'request_refused', caSaid: null },
  }
}

export const manual = defineKind({
  ...manualFacts,
  credentials: z.strictObject(clientKeyFields),
  nextCredentials: async () => ({}),
  create: (_deps, settings) => createManualCa(settings),
})
