import { parseCertificate } from '../../pki/certificate.ts'
import { MalformedDer } from '../../pki/der.ts'
import { readBasicConstraints } from '../../pki/extensions.ts'
import { oid } from '../../pki/object-identifiers.ts'
import type { IssuedFault } from '../../pki/verify-issued.ts'

/** Policy rule 15 said of a certificate that somebody holds in their hand. */
const sentences: Readonly<Record<IssuedFault | 'serial_number_reused', string>> = {
  malformed: 'The certificate cannot be read, or breaks the rules of the format.',
  serial_number_unfit: 'Its serial number is negative, zero or longer than 20 bytes.',
  serial_number_reused: 'Its CA has given the same serial number to another certificate, which is kept here.',
  spki_differs: "The certificate certifies another key than the request's.",
  mailbox_differs: 'The certificate is for another mailbox than the request.',
  second_mailbox: "The certificate names other mailboxes beside the request's.",
  foreign_san_type: 'Its subjectAltName holds names that are no mailboxes.',
  subject_foreign: 'Its subject says more than the mailbox.',
  eku_unprofiled: 'Its extended key usage is not emailProtection alone.',
  key_usage_unfit: 'Its key usage does not fit what the request is for.',
  is_ca: "It is a CA's own certificate, not one that it issued to the mailbox.",
  unknown_critical_extension: 'It has a critical extension that is not known here.',
  not_yet_valid: 'It is not valid yet.',
  expired: 'It has run out.',
  validity_too_long: 'It is valid for longer than was asked for, or from before the request.',
  signature_invalid: 'Its signature is not that of the CA above it.',
  chain_untrusted:
    "Its chain does not lead to the connection's anchors: put the CAs in between behind it, or see whether another CA issued it.",
}

const known: ReadonlyMap<string, string> = new Map(Object.entries(sentences))

/** What follows the first broken rule was never looked at: it may be unreadable. */
function saysCa(basicConstraints: Uint8Array): boolean {
  try {
    return readBasicConstraints(basicConstraints).ca
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

/** What the verdict leaves open: it names the first rule that is broken, and a CA's own certificate breaks several. */
function closerLook(reason: string, der: Uint8Array): string | undefined {
  if (reason !== 'spki_differs' && reason !== 'mailbox_differs') return undefined
  const { extensions } = parseCertificate(der)
  const constraints = extensions.get(oid.basicConstraints)
  if (constraints !== undefined && saysCa(constraints.value)) return sentences.is_ca
  const isNameless = reason === 'mailbox_differs' && !extensions.has(oid.subjectAltName)
  return isNameless ? 'The certificate names no mailbox in its subjectAltName.' : undefined
}

/** Why a certificate that was brought is not taken, in one sentence; `reason` is what verification said of it. */
export const faultInWords = (reason: string, der: Uint8Array): string =>
  closerLook(reason, der) ?? known.get(reason) ?? 'The certificate is not one that may be kept.'
