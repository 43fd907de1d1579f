import { MalformedDer, readFirstElement, readObjectIdentifier, tag } from '../der.ts'
import { curveByIdentifier, curveByName, curveBySize } from './curves.ts'
import type { Candidate } from './form.ts'
import { pgpSecretKeyAt } from './forms/pgp.ts'
import { toInteger } from '../integers.ts'
import { fromBase64Url } from './integers.ts'
import { pkcs1Parts, pkcs8Parts, sec1Parts, type KeyParts } from './parts.ts'
import { readBind, readNetXml, readOpensslText, typeOfUntypedJwk } from './read-named.ts'
import type { PrivateValues } from './values.ts'

/** Something is cut off, or does not fit its form. */
class Unreadable extends Error {}

/**
 * Reads the private values of a candidate. Null if it is encrypted or damaged, or if its form is not read. Never
 * throws.
 */
export function readPrivateValues({ form, bytes }: Candidate): PrivateValues | null {
  try {
    switch (form) {
      case 'pkcs1':
        return privateValues(pkcs1Parts(readFirstElement(bytes)))
      case 'pkcs8':
        return privateValues(pkcs8Parts(readFirstElement(bytes)))
      case 'sec1':
        return privateValues(sec1Parts(readFirstElement(bytes)))
      case 'openssh':
        return readOpenSsh(bytes)
      case 'putty':
        return readPutty(latin1(bytes))
      case 'ms-blob':
        return readMicrosoftBlob(bytes)
      case 'pgp':
        return readPgp(bytes)
      case 'jwk':
        return readJwk(JSON.parse(new TextDecoder().decode(bytes)))
      case 'rsa-xml':
        return readNetXml(latin1(bytes))
      case 'bind':
        return readBind(latin1(bytes))
      case 'openssl-text':
        return readOpensslText(latin1(bytes))
      case 'encrypted-pkcs8':
      case 'dsa':
      case 'pkcs12':
      case 'jks':
      case 'jceks':
      case 'ssh1':
      case 'ssh2':
      case 'ms-pvk':
      case 'ms-cng-blob':
      case 'other-pem':
        return null
    }
  } catch (error) {
    if (error instanceof Unreadable || error instanceof MalformedDer || error instanceof SyntaxError) return null
    throw error
  }
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

// DER

/** Of the parts of a key only the private ones. */
function privateValues(parts: KeyParts | null): PrivateValues | null {
  if (parts?.kind === 'rsa') return { kind: 'rsa', d: parts.d, p: parts.p, q: parts.q }
  return parts?.kind === 'ec' ? { kind: 'ec', curve: parts.curve, d: toInteger(parts.value) } : parts
}

// SSH

/** Reads fields that begin with their length (RFC 4251 section 5). */
class SshFields {
  readonly #bytes: Uint8Array
  #offset: number

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes
    this.#offset = offset
  }

  number(): number {
    const octets = this.take(4)
    return octets.reduce((value, octet) => value * 256 + octet, 0)
  }

  string(): Uint8Array {
    return this.take(this.number())
  }

  text(): string {
    return latin1(this.string())
  }

  /** An mpint. It is positive in a key. */
  integer(): bigint {
    return toInteger(this.string())
  }

  take(length: number): Uint8Array {
    const end = this.#offset + length
    if (end > this.#bytes.length) throw new Unreadable('ends within a field')
    const octets = this.#bytes.subarray(this.#offset, end)
    this.#offset = end
    return octets
  }
}

/** OpenSSH's PROTOCOL.key. */
function readOpenSsh(bytes: Uint8Array): PrivateValues | null {
  const fields = new SshFields(bytes, 'openssh-key-v1\0'.length)
  if (fields.text() !== 'none' || fields.text() !== 'none') return null
  fields.string()
  if (fields.number() !== 1) return null
  fields.string()
  const inner = new SshFields(fields.string())
  inner.take(8)
  const type = inner.text()
  if (type === 'ssh-rsa') {
    for (const _ of ['n', 'e']) inner.integer()
    const d = inner.integer()
    inner.integer()
    return { kind: 'rsa', d, p: inner.integer(), q: inner.integer() }
  }
  if (type === 'ssh-ed25519') {
    inner.string()
    return { kind: 'Ed25519', seed: inner.string().subarray(0, 32) }
  }
  if (!type.startsWith('ecdsa-sha2-')) return null
  const curve = curveByName(inner.text())
  inner.string()
  return curve === null ? null : { kind: 'ec', curve, d: inner.integer() }
}

/** PuTTY's manual, appendix C. */
function readPutty(text: string): PrivateValues | null {
  const begin = text.toLowerCase().indexOf('putty-user-key-file-')
  const lines = text.slice(Math.max(0, begin)).split(/\r\n|\r|\n/)
  const after = (name: string): string =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
  const type = lines[0]?.split(': ')[1] ?? ''
  const count = Number(after('Private-Lines'))
  const first = lines.findIndex((line) => line.startsWith('Private-Lines: ')) + 1
  if (after('Encryption') !== 'none' || first === 0 || !(count >= 1 && count <= 500)) return null
  const blob = fromBase64Url(lines.slice(first, first + count).join(''))
  if (blob === null) return null
  const fields = new SshFields(blob)
  if (type === 'ssh-rsa') return { kind: 'rsa', d: fields.integer(), p: fields.integer(), q: fields.integer() }
  if (type === 'ssh-ed25519') return { kind: 'Ed25519', seed: fields.string() }
  const curve = type.startsWith('ecdsa-sha2-') ? curveByName(type.slice('ecdsa-sha2-'.length)) : null
  return curve === null ? null : { kind: 'ec', curve, d: fields.integer() }
}

// Others

/** wincrypt.h: BLOBHEADER, RSAPUBKEY, then modulus, primes and the rest, the least significant octet first. */
function readMicrosoftBlob(bytes: Uint8Array): PrivateValues | null {
  if (bytes[11] !== 0x32 || bytes[8] !== 0x52) return null
  const bits = (bytes[12] ?? 0) + (bytes[13] ?? 0) * 256
  if (bits === 0 || bits % 16 !== 0 || bytes[14] !== 0 || bytes[15] !== 0) return null
  const [size, half] = [bits / 8, bits / 16]
  const at = (start: number, length: number): bigint => {
    if (start + length > bytes.length) throw new Unreadable('ends within a number')
    return toInteger(bytes.slice(start, start + length).toReversed())
  }
  const primes = 20 + size
  return { kind: 'rsa', p: at(primes, half), q: at(primes + half, half), d: at(primes + 5 * half, size) }
}

/** RFC 9580 sections 5.5.3 and 5.5.5. */
function readPgp(bytes: Uint8Array): PrivateValues | null {
  const key = pgpSecretKeyAt(bytes, 0)
  if (key === null || key.secret === null) return null
  let rest = key.secret
  const octets = (): Uint8Array => {
    const size = Math.ceil(((rest[0] ?? 0) * 256 + (rest[1] ?? 0)) / 8)
    if (2 + size > rest.length) throw new Unreadable('ends within a number')
    const value = rest.subarray(2, 2 + size)
    rest = rest.subarray(2 + size)
    return value
  }
  if (key.algorithm <= 3) return { kind: 'rsa', d: toInteger(octets()), p: toInteger(octets()), q: toInteger(octets()) }
  if (key.algorithm === 27) return { kind: 'Ed25519', seed: rest.subarray(0, 32) }
  if (key.algorithm === 25) return { kind: 'X25519', seed: rest.subarray(0, 32) }
  if (key.curve === null) return null
  const value = octets()
  const padded = (): Uint8Array => Uint8Array.from({ length: 32 }, (_, index) => value[index - 32 + value.length] ?? 0)
  const identifier = readObjectIdentifier({ tag: tag.objectIdentifier, bytes: key.curve, content: key.curve })
  if (key.algorithm === 22 && identifier === '1.3.6.1.4.1.11591.15.1') return { kind: 'Ed25519', seed: padded() }
  // Section 5.5.5.6.1.1: only for this curve the octets are in reverse order.
  if (identifier === '1.3.6.1.4.1.3029.1.5.1') return { kind: 'X25519', seed: padded().toReversed() }
  const curve = curveByIdentifier(identifier)
  return curve === null ? null : { kind: 'ec', curve, d: toInteger(value) }
}

/** RFC 7518 section 6, RFC 8037 section 2. */
function readJwk(jwk: unknown): PrivateValues | null {
  const member = (name: string): Uint8Array | null => {
    const value: unknown =
      typeof jwk === 'object' && jwk !== null ? Object.entries(jwk).find(([key]) => key === name)?.[1] : null
    return typeof value === 'string' ? fromBase64Url(value) : null
  }
  const name = (key: string): string => {
    const value: unknown =
      typeof jwk === 'object' && jwk !== null ? Object.entries(jwk).find(([own]) => own === key)?.[1] : null
    return typeof value === 'string' ? value : ''
  }
  const d = member('d')
  if (d === null) return null
  const type = name('kty') || typeOfUntypedJwk((own) => member(own) !== null, name('crv'))
  if (type === 'OKP') {
    const crv = name('crv')
    return crv === 'Ed25519' || crv === 'X25519' ? { kind: crv, seed: d } : null
  }
  if (type === 'EC') {
    const curve = name('crv') === '' ? curveBySize(d.length) : curveByName(name('crv'))
    return curve === null ? null : { kind: 'ec', curve, d: toInteger(d) }
  }
  if (type !== 'RSA') return null
  const [n, e, p, q] = ['n', 'e', 'p', 'q'].map(member)
  if (p && q) return { kind: 'rsa', d: toInteger(d), p: toInteger(p), q: toInteger(q) }
  return n && e ? { kind: 'rsa-without-primes', n: toInteger(n), e: toInteger(e), d: toInteger(d) } : null
}
