import { randomSecret, type Random } from '../ports/runtime.ts'
import type { Sha256 } from '../ports/keys.ts'

/** By this prefix a leak scanner finds an administrator's credential, and a device's is told from it. */
export const credentialPrefix = 'cb_adm_'

const dayMilliseconds = 86_400_000
/** A credential that nobody uses for 180 days has expired. */
export const unseenAllowedMilliseconds = 180 * dayMilliseconds

/** The UTC day of a time: `seen_at` is kept to the day. */
export const dayOf = (at: number): number => at - (at % dayMilliseconds)

const encoder = new TextEncoder()

/** SHA-256 of a bearer secret: 256 random bits need no salt and no stretching. */
export const hashSecret = (sha256: Sha256, secret: string): Uint8Array => sha256(encoder.encode(secret))

/** A credential, and what is stored of it. */
export interface FreshCredential {
  readonly credential: string
  readonly credentialSha256: Uint8Array
}

export const freshCredential = (deps: { random: Random; sha256: Sha256 }): FreshCredential => {
  const credential = randomSecret(deps.random, credentialPrefix)
  return { credential, credentialSha256: hashSecret(deps.sha256, credential) }
}
