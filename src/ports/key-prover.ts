/** Bytes of a private key that somebody disclosed, and the name of their form. Never store, log or send them. */
export interface DisclosedBytes {
  readonly form: string
  readonly bytes: Uint8Array
}

/** What became of reading a key. */
export interface ProvedKey {
  /** The SubjectPublicKeyInfo (DER) of the first key that could be read and was proved. Null if none was. */
  readonly spki: Uint8Array | null
  readonly milliseconds: number
}

/** Completes and proves disclosed keys. That may take two tenths of a second of one core. */
export interface KeyProver {
  /** How many keys may wait and be read at a time. */
  readonly places: number
  /** How many more, if they say that they are of a public key which is known here. */
  readonly reservedPlaces: number
  /** Rejects if the runtime fails, never because of a key. */
  prove(candidates: readonly DisclosedBytes[]): Promise<ProvedKey>
}
