import { Buffer } from 'node:buffer'
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** HKDF-SHA-256 (RFC 5869) of a secret, for one purpose. */
export const derive = (secret: Uint8Array, purpose: string): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), Buffer.from(`certbook-v1/${purpose}`), 32)))

/** Derived keys by purpose. Purposes are tables of the schema, or a writer and a day, so their number is bounded. */
export class DerivedKeys {
  readonly #secret: Uint8Array
  readonly #byPurpose = new Map<string, KeyObject>()

  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  get(purpose: string): KeyObject {
    let key = this.#byPurpose.get(purpose)
    if (key === undefined) {
      if (this.#byPurpose.size >= 2_000) this.#byPurpose.clear()
      key = derive(this.#secret, purpose)
      this.#byPurpose.set(purpose, key)
    }
    return key
  }
}
