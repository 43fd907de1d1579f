import { hashSecret } from '../api/credentials.ts'
import { randomSecret, type Random } from '../ports/runtime.ts'
import type { Sha256 } from '../ports/keys.ts'

/** A leak scanner finds an administrator's credential by this prefix. It also differs from a device's. */
export const credentialPrefix = 'cb_adm_'

export interface FreshCredential {
  readonly credential: string
  readonly credentialSha256: Uint8Array
}

export const freshCredential = (deps: { random: Random; sha256: Sha256 }): FreshCredential => {
  const credential = randomSecret(deps.random, credentialPrefix)
  return { credential, credentialSha256: hashSecret(deps.sha256, credential) }
}
