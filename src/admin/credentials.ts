import { verifiersOf } from '../api/credentials.ts'
import { randomSecret, type Random } from '../ports/runtime.ts'
import type { KeyedHashes } from '../ports/keys.ts'

/** A leak scanner finds an administrator's credential by this prefix. It also differs from a device's. */
export const credentialPrefix = 'cb_adm_'

export interface FreshCredential {
  readonly credential: string
  readonly credentialVerifier: Uint8Array
}

export const freshCredential = (deps: { random: Random; keys: Pick<KeyedHashes, 'verifiers'> }): FreshCredential => {
  const credential = randomSecret(deps.random, credentialPrefix)
  return { credential, credentialVerifier: verifiersOf(deps.keys, 'administrators.credential', credential)[0] }
}
