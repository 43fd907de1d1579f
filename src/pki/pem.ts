import { DomainError } from '../errors.ts'
import { parseCertificate } from './certificate.ts'
import { MalformedDer } from './der.ts'
import { fromBase64, toBase64 } from './encoding.ts'

/** More than any list of anchors or any chain has. */
const certificatesAllowed = 100

const block = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g

/** DER as a PEM block with 64 characters per line (RFC 7468 section 2) and a line break at the end. */
export const toPem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${toBase64(der).replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`

/**
 * The certificates (DER) of a PEM text, in its order. Text between the blocks is skipped (RFC 7468 section 5.2). Null
 * if there is none, if there are more than 100, or if a block is not one certificate of version 3.
 */
export function certificatesOfPem(text: string): Uint8Array[] | null {
  const blocks = [...text.matchAll(block)]
  if (blocks.length === 0 || blocks.length > certificatesAllowed) return null
  if (text.split('-----BEGIN ').length !== blocks.length + 1) return null
  const certificates: Uint8Array[] = []
  for (const [, label, base64 = ''] of blocks) {
    const der = label === 'CERTIFICATE' ? fromBase64(base64.replaceAll(/[ \t\r\n]+/g, '')) : null
    if (der === null || !isCertificate(der)) return null
    certificates.push(der)
  }
  return certificates
}

function isCertificate(der: Uint8Array): boolean {
  try {
    parseCertificate(der)
    return true
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

/** Reads the PEM certificates of a CA connection. Throws DomainError `connection_unfit`. */
export function readCertificates(text: string): Uint8Array[] {
  const certificates = certificatesOfPem(text)
  if (certificates !== null) return certificates
  throw new DomainError('connection_unfit', 'Send certificates of X.509 version 3 as PEM, and nothing else.')
}
