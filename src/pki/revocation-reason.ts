/**
 * Why a certificate was revoked, by its code in CRLReason (RFC 5280 section 5.3.1). These alone are given (S/MIME BR
 * 7.2.2): `unspecified` is said by leaving the reason out, and nothing is ever on hold.
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

/** The reason of a code; null for one that is never given here, and is read as no reason. */
export const reasonOfCode = (code: number): RevocationReason | null => reasonsByCode.get(code) ?? null
