import { encodeElement, tag } from '../../src/pki/der.ts'
import type { OcspIssuer } from '../../src/pki/ocsp.ts'

/** The hashes by which a request names the issuer. */
export type Hash = 'SHA-1' | 'SHA-256'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => encodeElement(tag.sequence, ...parts)

/** OIDs as DER; the parameters of both are NULL. */
const hashIdentifiers: Readonly<Record<Hash, Uint8Array>> = {
  'SHA-1': sequence(hex('06052b0e03021a'), hex('0500')),
  'SHA-256': sequence(hex('0609608648016503040201'), hex('0500')),
}

/** An OCSP request for serial numbers of one issuer, RFC 6960 4.1.1. */
export const requestFor = (issuer: OcspIssuer, hash: Hash, ...serialNumbers: readonly string[]): Uint8Array => {
  const questions = serialNumbers.map((serialNumber) =>
    sequence(
      sequence(
        hashIdentifiers[hash],
        encodeElement(tag.octetString, hex(issuer.nameHash)),
        encodeElement(tag.octetString, hex(issuer.keyHash)),
        encodeElement(tag.integer, hex(`00${serialNumber}`.replace(/^00(?=[0-7])/, ''))),
      ),
    ),
  )
  return sequence(sequence(sequence(...questions)))
}
