import { contextConstructed, encodeElement, encodeObjectIdentifier, MalformedDer } from '../der.ts'
import { readElement, readFirstElement, readOctetsOfBitString, tag } from '../der.ts'
import { ellipticCurve, type CurveName } from '../elliptic-curves.ts'
import { toInteger } from '../integers.ts'
import { oid } from '../object-identifiers.ts'
import { curveByName } from './curves.ts'
import type { Candidate } from './form.ts'
import { fromBase64Url } from './integers.ts'
import { pkcs1Parts, pkcs8Parts, sec1Parts, type KeyParts } from './parts.ts'
import { rsaSpki } from './rsa.ts'

/**
 * The SubjectPublicKeyInfo (DER) that the public part beside a private key names. Nothing is proved: it may be a
 * stranger's. Null if there is none, or the form is not read. Costs no computation on keys. Never throws.
 */
export function claimedPublicKey({ form, bytes }: Candidate): Uint8Array | null {
  try {
    if (form === 'pkcs1') return ofParts(pkcs1Parts(readFirstElement(bytes)))
    if (form === 'pkcs8') return ofParts(pkcs8Parts(readFirstElement(bytes)))
    if (form === 'sec1') return ofParts(sec1Parts(readFirstElement(bytes)))
    return form === 'jwk' ? ofJwk(JSON.parse(new TextDecoder().decode(bytes))) : null
  } catch (error) {
    if (error instanceof MalformedDer || error instanceof SyntaxError) return null
    throw error
  }
}

function ofParts(parts: KeyParts | null): Uint8Array | null {
  if (parts?.kind === 'rsa') return rsaSpki(parts.n, parts.e)
  const point = parts?.kind === 'ec' ? parts.rest.optional(contextConstructed(1)) : undefined
  if (parts?.kind !== 'ec' || point === undefined) return null
  return ecSpki(parts.curve, readOctetsOfBitString(readElement(point.content)))
}

const ecSpki = (curve: CurveName, point: Uint8Array): Uint8Array =>
  encodeElement(
    tag.sequence,
    encodeElement(
      tag.sequence,
      encodeObjectIdentifier(oid.idEcPublicKey),
      encodeObjectIdentifier(ellipticCurve(curve).identifier),
    ),
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
  return curve === null ? null : ecSpki(curve, Uint8Array.of(4, ...octets('x'), ...octets('y')))
}
