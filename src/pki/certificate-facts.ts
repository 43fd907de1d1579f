import { parseCertificate, type Certificate } from './certificate.ts'
import { sha256Hex, toHex } from './encoding.ts'
import { readAuthorityKeyIdentifier } from './extensions.ts'
import { nameToString, readGeneralNames } from './names.ts'
import { oid } from './object-identifiers.ts'

/** The facts that are kept beside a certificate, to find, show and judge it. */
export interface CertificateFacts {
  /** The INTEGER in lower-case hexadecimal, without a sign octet. */
  readonly serialNumber: string
  /** SHA-256 of the whole certificate, lower-case hexadecimal. */
  readonly fingerprintSha256: string
  /** RFC 4514 string. */
  readonly issuer: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** All addresses of its subjectAltName, as written there. */
  readonly mailboxes: readonly string[]
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hexadecimal. */
  readonly spkiSha256: string
  /** Lower-case hexadecimal. */
  readonly authorityKeyIdentifier?: string
}

/** Reads the facts of a certificate without judging them. Throws MalformedDer. */
export async function certificateFacts(crypto: Crypto, der: Uint8Array): Promise<CertificateFacts> {
  return await factsOf(crypto, parseCertificate(der))
}

/** Reads the facts of a parsed certificate. Throws MalformedDer. */
export async function factsOf(crypto: Crypto, certificate: Certificate): Promise<CertificateFacts> {
  const { serialNumber, extensions } = certificate
  const identifier = extensions.get(oid.authorityKeyIdentifier)
  const authorityKey = identifier === undefined ? undefined : readAuthorityKeyIdentifier(identifier.value)
  const [fingerprintSha256, spkiSha256] = await Promise.all([
    sha256Hex(crypto, certificate.der),
    sha256Hex(crypto, certificate.spki),
  ])
  return {
    serialNumber: toHex(serialNumber[0] === 0 && serialNumber.length > 1 ? serialNumber.subarray(1) : serialNumber),
    fingerprintSha256,
    issuer: nameToString(certificate.issuer),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    mailboxes: mailboxesOf(certificate),
    spkiSha256,
    ...(authorityKey === undefined ? {} : { authorityKeyIdentifier: toHex(authorityKey) }),
  }
}

function mailboxesOf({ extensions }: Certificate): string[] {
  const alternativeName = extensions.get(oid.subjectAltName)
  if (alternativeName === undefined) return []
  return readGeneralNames(alternativeName.value).flatMap((name) =>
    name.kind === 'rfc822Name' || name.kind === 'smtpUtf8Mailbox' ? [name.text] : [],
  )
}
