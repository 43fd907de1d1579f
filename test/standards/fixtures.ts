import { readFileSync } from 'node:fs'
import { DerSequence, encodeElement, readFirstElement, tag } from '../../src/pki/der.ts'
import { fromBase64 } from '../../src/pki/encoding.ts'

const folder = new URL('../../certs-fixtures/', import.meta.url)

/** A fixture as a device would send it: PEM as text, DER as bytes. */
export function fixture(name: string): string | Uint8Array {
  const url = new URL(name, folder)
  return name.endsWith('.pem') ? readFileSync(url, 'utf8') : new Uint8Array(readFileSync(url))
}

/** The DER of a certificate among the fixtures. */
export function certificateFixture(name: string): Uint8Array {
  const content = fixture(name)
  if (typeof content !== 'string') return content
  const der = fromBase64(content.replaceAll(/-----[^-]+-----|\s/g, ''))
  if (der === null) throw new Error(`${name} is not PEM`)
  return der
}

/** The DER with another element in the place of the one at `offset`, all lengths around it put right. */
function withElement(der: Uint8Array, offset: number, element: Uint8Array): Uint8Array {
  const { tag: identifier, bytes, content } = readFirstElement(der)
  const before = bytes.length - content.length
  if (offset === 0) return new Uint8Array(Buffer.concat([element, der.subarray(bytes.length)]))
  const parts: Uint8Array[] = []
  let at = before
  for (const inner of new DerSequence({ tag: identifier, bytes, content }).rest()) {
    const holds = at <= offset && offset < at + inner.bytes.length
    parts.push(holds ? withElement(inner.bytes, offset - at, element) : inner.bytes)
    at += inner.bytes.length
  }
  return encodeElement(identifier, ...parts)
}

/** A certificate of which the first UTCTime goes on for so many octets. */
export function withEndlessTime(der: Uint8Array, octets: number): Uint8Array {
  const endless = encodeElement(tag.utcTime, new Uint8Array(octets).fill(0x30))
  return withElement(der, Buffer.from(der).indexOf(Buffer.of(tag.utcTime, 13)), endless)
}
