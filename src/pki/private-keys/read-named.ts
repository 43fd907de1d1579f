import { fromHex } from '../hexadecimal.ts'
import { toInteger } from '../integers.ts'
import { curveByName } from './curves.ts'
import { fromBase64Url } from './integers.ts'
import type { PrivateValues } from './values.ts'

const empty = new Uint8Array()

function rsa(d: Uint8Array, p: Uint8Array, q: Uint8Array): PrivateValues {
  return { kind: 'rsa', d: toInteger(d), p: toInteger(p), q: toInteger(q) }
}

/** `RSA.ToXmlString` of .NET: numbers in base64. */
export function readNetXml(text: string): PrivateValues {
  const element = (name: string): Uint8Array => {
    const value = new RegExp(`<${name}>([^<]*)<`).exec(text)?.[1] ?? ''
    return fromBase64Url(value.replaceAll(/\s/g, '')) ?? empty
  }
  return rsa(element('D'), element('P'), element('Q'))
}

/** The algorithms of DNSSEC (RFC 6605 section 4, RFC 8080 section 3) and what their private values are of. */
const dnssecCurves: Readonly<Record<string, 'P-256' | 'P-384'>> = { 13: 'P-256', 14: 'P-384' }

/** The files that BIND's dnssec-keygen names `.private`. */
export function readBind(text: string): PrivateValues | null {
  const field = (name: string): Uint8Array =>
    fromBase64Url(new RegExp(`(?:^|[^A-Za-z])${name}: *(\\S*)`).exec(text)?.[1] ?? '') ?? empty
  const value = field('PrivateKey')
  if (value.length === 0) return rsa(field('PrivateExponent'), field('Prime1'), field('Prime2'))
  const algorithm = /(?:^|[^A-Za-z])Algorithm: *([0-9]+)/.exec(text)?.[1] ?? ''
  if (algorithm === '15') return { kind: 'Ed25519', seed: value }
  const curve = dnssecCurves[algorithm]
  return curve === undefined ? null : { kind: 'ec', curve, d: toInteger(value) }
}

/** The names by which OpenSSL prints curves. */
const opensslCurves: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}

/** What `openssl pkey -text` prints: numbers in hexadecimal with colons, over several lines. */
export function readOpensslText(text: string): PrivateValues | null {
  const number = (name: string): Uint8Array => {
    // The name of the next number may begin with a digit too, but not with two.
    const pairs = new RegExp(`(?:^|[^A-Za-z])${name}:\\s*((?:[0-9a-fA-F]{2}[:\\s]*)*)`).exec(text)?.[1] ?? ''
    return pairs === '' ? empty : fromHex(pairs.replaceAll(/[:\s]/g, '').toLowerCase())
  }
  const value = number('priv')
  if (value.length === 0) return rsa(number('privateExponent'), number('prime1'), number('prime2'))
  const kind = /(ED25519|X25519) Private-Key/.exec(text)?.[1]
  if (kind !== undefined) return { kind: kind === 'X25519' ? kind : 'Ed25519', seed: value }
  const named = /ASN1 OID: *(\w+)/.exec(text)?.[1] ?? ''
  const curve = curveByName(opensslCurves[named] ?? named)
  return curve === null ? null : { kind: 'ec', curve, d: toInteger(value) }
}

/**
 * The type of a JSON Web Key that does not say it, by its other members. Null if `d` stands alone: its size fits keys of
 * several curves.
 */
export function typeOfUntypedJwk(has: (name: string) => boolean, crv: string): 'RSA' | 'EC' | 'OKP' | null {
  if (has('n') || has('p')) return 'RSA'
  if (crv === 'Ed25519' || crv === 'X25519') return 'OKP'
  return has('y') || curveByName(crv) !== null ? 'EC' : null
}
