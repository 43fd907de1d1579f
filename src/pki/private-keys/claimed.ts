import { contextConstructed, DerSequence, encodeElement, encodeObjectIdentifier, MalformedDer } from '../der.ts'
import { readElement, readFirstElement, readObjectIdentifier, readUnsigned, tag, type DerElement } from '../der.ts'
import { ellipticCurve } from '../elliptic-curves.ts'
import { toInteger } from '../integers.ts'
import { oid } from '../object-identifiers.ts'
import { curveByIdentifier, curveByName } from './curves.ts'
import type { Candidate } from './form.ts'
import { fromBase64Url } from './integers.ts'
import { rsaSpki } from './rsa.ts'

/**
 * The SubjectPublicKeyInfo (DER) that the public part beside a private key names. Nothing is proved: it may be a
 * stranger's. Null if there is none, or the form is not read. Costs no computation on keys. Never throws.
 */
export function claimedPublicKey({ form, bytes }: Candidate): Uint8Array | null {
  try {
    if (form === 'pkcs1') return ofPkcs1(readFirstElement(bytes))
    if (form === 'pkcs8') return ofPkcs8(readFirstElement(bytes))
    if (form === 'sec1') return ofSec1(readFirstElement(bytes), null)
    return form === 'jwk' ? ofJwk(JSON.parse(new TextDecoder().decode(bytes))) : null
  } catch (error) {
    if (error instanceof MalformedDer || error instanceof SyntaxError) return null
    throw error
  }
}

function ofPkcs1(element: DerElement): Uint8Array {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const [n, e] = [0, 0].map(() => toInteger(readUnsigned(parts.next(tag.integer))))
  return rsaSpki(n ?? 0n, e ?? 0n)
}

function ofPkcs8(element: DerElement): Uint8Array | null {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  const identifier = new DerSequence(parts.next(tag.sequence))
  const algorithm = readObjectIdentifier(identifier.next(tag.objectIdentifier))
  const key = parts.next(tag.octetString).content
  if (algorithm === oid.rsaEncryption) return ofPkcs1(readFirstElement(key))
  if (algorithm !== oid.idEcPublicKey) return null
  return ofSec1(readFirstElement(key), readObjectIdentifier(identifier.next(tag.objectIdentifier)))
}

function ofSec1(element: DerElement, outer: string | null): Uint8Array | null {
  const parts = new DerSequence(element)
  parts.next(tag.integer)
  parts.next(tag.octetString)
  const parameters = parts.optional(contextConstructed(0))
  const inner =
    parameters === undefined ? null : readObjectIdentifier(readElement(parameters.content, tag.objectIdentifier))
  const point = parts.optional(contextConstructed(1))
  const curve = outer ?? inner
  if (point === undefined || curve === null || curveByIdentifier(curve) === null) return null
  return ecSpki(curve, readElement(point.content, tag.bitString).content.subarray(1))
}

const ecSpki = (curve: string, point: Uint8Array): Uint8Array =>
  encodeElement(
    tag.sequence,
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.idEcPublicKey), encodeObjectIdentifier(curve)),
    encodeElement(tag.bitString, Uint8Array.of(0), point),
  )

function ofJwk(jwk: unknown): Uint8Array | null {
  if (typeof jwk !== 'object' || jwk === null) return null
  const members = new Map<string, unknown>(Object.entries(jwk))
  const text = (name: string): string => {
    const value = members.get(name)
    return typeof value === 'string' ? value : ''
  }
  const octets = (name: string): Uint8Array => fromBase64Url(text(name)) ?? new Uint8Array()
  if (text('kty') === 'RSA') return rsaSpki(toInteger(octets('n')), toInteger(octets('e')))
  const curve = text('kty') === 'EC' ? curveByName(text('crv')) : null
  return curve === null
    ? null
    : ecSpki(ellipticCurve(curve).identifier, Uint8Array.of(4, ...octets('x'), ...octets('y')))
}
