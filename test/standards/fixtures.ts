import { readFileSync } from 'node:fs'
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
