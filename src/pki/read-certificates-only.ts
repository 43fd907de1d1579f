import { parseCertificate, type Certificate } from './certificate.ts'
import {
  contextConstructed,
  MalformedDer,
  readFirstElement,
  readObjectIdentifier,
  tag,
  type DerElement,
} from './der.ts'
import { oid } from './object-identifiers.ts'

/** No SignedData is deeper. */
const depthLimit = 16
/** No chain is longer. */
const certificatesAllowed = 100

/** End-of-contents octets, X.690 section 8.1.5. */
const isEndOfContents = (bytes: Uint8Array): boolean => bytes[0] === 0 && bytes[1] === 0

/**
 * The element at the start of `bytes`. Its length may be indefinite, as BER allows (X.690 section 8.1.3.6): many CAs
 * write it so around their certificates. Throws MalformedDer.
 */
function readBerElement(bytes: Uint8Array, depth = 0): DerElement {
  const identifier = bytes[0] ?? 0
  if (bytes[1] !== 0x80) return readFirstElement(bytes)
  if ((identifier & 0x20) === 0 || depth > depthLimit) throw new MalformedDer('indefinite length where none may be')
  let end = 2
  while (!isEndOfContents(bytes.subarray(end))) end += readBerElement(bytes.subarray(end), depth + 1).bytes.length
  return { tag: identifier, bytes: bytes.subarray(0, end + 2), content: bytes.subarray(2, end) }
}

function elementsIn({ tag: identifier, content }: DerElement): DerElement[] {
  if ((identifier & 0x20) === 0) throw new MalformedDer('element is not constructed')
  const elements: DerElement[] = []
  for (let offset = 0; offset < content.length; offset += elements.at(-1)?.bytes.length ?? 0) {
    elements.push(readBerElement(content.subarray(offset)))
  }
  return elements
}

/** The elements of a SEQUENCE or tagged value, at least `atLeast` of them. */
function partsOf(element: DerElement | undefined, expected: number, atLeast: number): DerElement[] {
  const parts = element?.tag === expected ? elementsIn(element) : []
  if (parts.length < atLeast) throw new MalformedDer('element of another type')
  return parts
}

/**
 * The certificates of a "certs-only" message (RFC 5652 section 5.1, RFC 5272 section 4.1), in its order, from BER or
 * DER. Anything that is not an X.509 certificate of version 3 is skipped. Nothing is verified. Throws MalformedDer if
 * it is not SignedData, or has more than 100 certificates.
 */
export function readCertificatesOnly(bytes: Uint8Array): Certificate[] {
  const whole = readBerElement(bytes)
  if (whole.bytes.length !== bytes.length) throw new MalformedDer('bytes after the element')
  const [type, tagged] = partsOf(whole, tag.sequence, 2)
  if (type === undefined || readObjectIdentifier(type) !== oid.signedData) throw new MalformedDer('not SignedData')
  const [signedData] = partsOf(tagged, contextConstructed(0), 1)
  const certificates = partsOf(signedData, tag.sequence, 3).find((part) => part.tag === contextConstructed(0))
  const candidates = certificates === undefined ? [] : elementsIn(certificates)
  if (candidates.length > certificatesAllowed) throw new MalformedDer('more certificates than a chain can have')
  return candidates.flatMap(({ bytes: der }) => certificateIn(der))
}

function certificateIn(der: Uint8Array): Certificate[] {
  try {
    return [parseCertificate(der)]
  } catch (error) {
    if (error instanceof MalformedDer) return []
    throw error
  }
}
