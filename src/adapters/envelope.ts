import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, randomFillSync, type KeyObject } from 'node:crypto'
import { SealBroken, type Place } from '../ports/keys.ts'

/** Envelopes as `Sealer` describes them. */

const envelopeVersion = 1
const nonceLength = 12
const tagLength = 16

/** Random bytes, drawn in blocks: one system call for some hundreds of nonces. */
class NonceSource {
  readonly #block = new Uint8Array(4_080)
  #used = this.#block.length

  /** A nonce, as a view that later calls overwrite. Use it at once. */
  next(): Uint8Array {
    if (this.#used === this.#block.length) {
      randomFillSync(this.#block)
      this.#used = 0
    }
    const nonce = this.#block.subarray(this.#used, this.#used + nonceLength)
    this.#used += nonceLength
    return nonce
  }
}

const nonces = new NonceSource()

/** The additional data of an envelope. NUL cannot occur in any of its parts. */
const additionalData = (place: Place, keyId: string): Buffer =>
  Buffer.from(`${place.table}\0${place.column}\0${place.row}\0${keyId}`)

/** Seals into one buffer, because lookups do it and each further buffer costs allocation and collection. */
export const sealWith = (key: KeyObject, keyId: string, place: Place, plaintext: Uint8Array | string): Uint8Array => {
  const nonce = nonces.next()
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(additionalData(place, keyId))
  const ciphertext = cipher.update(typeof plaintext === 'string' ? Buffer.from(plaintext) : plaintext)
  cipher.final() // GCM is a stream: nothing is left to come, but the tag is made
  const nonceStart = 2 + keyId.length
  const bodyStart = nonceStart + nonceLength
  const sealed = Buffer.allocUnsafe(bodyStart + ciphertext.length + tagLength)
  sealed[0] = envelopeVersion
  sealed[1] = keyId.length
  sealed.write(keyId, 2, 'latin1')
  sealed.set(nonce, nonceStart)
  sealed.set(ciphertext, bodyStart)
  sealed.set(cipher.getAuthTag(), bodyStart + ciphertext.length)
  return new Uint8Array(sealed.buffer, sealed.byteOffset, sealed.length)
}

export const keyIdOf = (place: Place, envelope: Uint8Array): string => {
  const idLength = envelope[1] ?? 0
  if (envelope[0] !== envelopeVersion || envelope.length < 2 + idLength + nonceLength + tagLength) {
    throw new SealBroken(place, 'not an envelope')
  }
  return Buffer.from(envelope.subarray(2, 2 + idLength)).toString()
}

export const openWith = (key: KeyObject, keyId: string, place: Place, envelope: Uint8Array): Uint8Array => {
  const start = 2 + (envelope[1] ?? 0)
  const bodyStart = start + nonceLength
  const bodyEnd = envelope.length - tagLength
  const decipher = createDecipheriv('aes-256-gcm', key, envelope.subarray(start, bodyStart))
  decipher.setAAD(additionalData(place, keyId))
  decipher.setAuthTag(envelope.subarray(bodyEnd))
  try {
    const plaintext = decipher.update(envelope.subarray(bodyStart, bodyEnd))
    decipher.final() // GCM is a stream: nothing is left to come, but the tag is checked
    return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length)
  } catch (cause) {
    throw new SealBroken(place, 'altered, moved, or sealed with another key', { cause })
  }
}
