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
