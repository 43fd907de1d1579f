/**
 * Reasons of revocation by their CRLReason code (RFC 5280 section 5.3.1). No others are used (S/MIME BR 7.2.2): for
 * `unspecified` the reason is left out, and no certificate is ever on hold.
 */
export const revocationReasonCodes = {
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const

export type RevocationReason = keyof typeof revocationReasonCodes

const reasonsByCode = new Map<number, RevocationReason>()
for (const reason of [
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const)
  reasonsByCode.set(revocationReasonCodes[reason], reason)

/** The reason of a code. Null for a code that is not used here, which counts as no reason. */
export const reasonOfCode = (code: number): RevocationReason | null => reasonsByCode.get(code) ?? null
