/** What the makers of the fixtures share. Private keys live in a temporary folder and are gone when `close` was called. */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from '../src/pki/der.ts'
import { fromBase64 } from '../src/pki/encoding.ts'
import { toPem } from '../test/support/pem.ts'

const work = mkdtempSync(join(tmpdir(), 'certs-fixtures-'))

export const here = import.meta.dirname
export const inWork = (name: string): string => join(work, name)
export const out = (name: string): string => join(here, name)
export const close = (): void => rmSync(work, { recursive: true })

export const openssl = (...parameters: readonly string[]): Buffer =>
  execFileSync('openssl', parameters, { stdio: ['ignore', 'pipe', 'pipe'] })

/** The mailbox that requests and certificates are meant for, where nothing else is said. */
export const mailbox = 'alice@example.com'
export const requestLabel = 'CERTIFICATE REQUEST'

// Encodings

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const sequence = (...contents: readonly Uint8Array[]): Uint8Array => encodeElement(tag.sequence, ...contents)
export const integer = (...octets: readonly number[]): Uint8Array => encodeElement(tag.integer, Uint8Array.from(octets))
export const bitString = (octets: Uint8Array, unusedBits = 0): Uint8Array =>
  encodeElement(tag.bitString, Uint8Array.of(unusedBits), octets)
export const identifier = (algorithm: string, ...parameters: readonly Uint8Array[]): Uint8Array =>
  sequence(encodeObjectIdentifier(algorithm), ...parameters)
export const derNull = encodeElement(tag.null)

/** As a GeneralName, RFC 9598 section 3. */
export function smtpUtf8Mailbox(address: string): Uint8Array {
  const text = encodeElement(contextConstructed(0), encodeElement(tag.utf8String, utf8(address)))
  return encodeElement(contextConstructed(0), encodeObjectIdentifier('1.3.6.1.5.5.7.8.9'), text)
}

/** `bytes` with one bit changed, in the byte so far from the end. */
export function flipped(bytes: Uint8Array, fromEnd: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const index = copy.length - fromEnd
  copy[index] = (copy[index] ?? 0) ^ 1
  return copy
}

// Files

export function derOf(name: string): Uint8Array {
  const der = fromBase64(readFileSync(out(name), 'utf8').replaceAll(/-----[^-]+-----|\s/g, ''))
  if (der === null) throw new Error(`${name} is not PEM`)
  return der
}

export function writeDer(name: string, der: Uint8Array): void {
  writeFileSync(out(name), name.endsWith('.pem') ? toPem(requestLabel, der) : der)
}

// Keys

export function makeKey(name: string, algorithm: string, ...options: readonly string[]): void {
  const flags = options.flatMap((option) => ['-pkeyopt', option])
  openssl('genpkey', '-algorithm', algorithm, ...flags, '-out', inWork(`${name}.key`))
}

export const privateKey = (name: string): KeyObject => createPrivateKey(readFileSync(inWork(`${name}.key`)))

export function spkiOf(key: string | KeyObject): Uint8Array {
  const own = typeof key === 'string' ? privateKey(key) : key
  return createPublicKey(own).export({ type: 'spki', format: 'der' })
}

// Certificate requests as OpenSSL writes them

export interface Wanted {
  readonly key?: string
  readonly subject?: string
  readonly extensions?: readonly string[]
  readonly flags?: readonly string[]
}

export function request(
  name: string,
  { key = 'p256', subject = '/CN=Alice Example', extensions = [], flags = [] }: Wanted = {},
): void {
  const added = extensions.flatMap((extension) => ['-addext', extension])
  const config = inWork('empty.cnf')
  writeFileSync(config, '[req]\ndistinguished_name=dn\n[dn]\n')
  const common = ['req', '-new', '-config', config, '-utf8', '-subj', subject, '-key', inWork(`${key}.key`)]
  openssl(...common, ...added, '-sha256', ...flags, '-out', out(name))
}

// Certificate requests that OpenSSL does not write

export const emptyName = sequence()

/** How a request is signed: by the P-256 key where nothing else is said, whatever key it shows. */
export interface Signing {
  readonly algorithm: Uint8Array
  readonly sign: (info: Uint8Array) => Uint8Array
}

export const ecdsaWithSha256: Signing = {
  algorithm: identifier('1.2.840.10045.4.3.2'),
  sign: (info) => sign('sha256', info, privateKey('p256')),
}

export function rsaWithSha256(key: KeyObject): Signing {
  return { algorithm: identifier('1.2.840.113549.1.1.11', derNull), sign: (info) => sign('sha256', info, key) }
}

export function assemble(parts: {
  readonly version?: number
  readonly subject?: Uint8Array
  readonly spki?: Uint8Array
  readonly attributes?: readonly Uint8Array[] | 'absent'
  readonly signing?: Signing
}): Uint8Array {
  const { version = 0, subject = emptyName, spki = spkiOf('p256'), attributes = [], signing = ecdsaWithSha256 } = parts
  const info = sequence(
    integer(version),
    subject,
    spki,
    ...(attributes === 'absent' ? [] : [encodeElement(contextConstructed(0), ...attributes)]),
  )
  return sequence(info, signing.algorithm, bitString(signing.sign(info)))
}
