import { encodeElement, tag } from '../src/pki/der.ts'
import { Received, type Conversation } from './wire.ts'

/** LDAP (RFC 4511), as little of it as a load generator needs. */

const utf8 = new TextEncoder()
const octets = (text: string): Uint8Array => encodeElement(tag.octetString, utf8.encode(text))
const small = (value: number): Uint8Array => encodeElement(tag.integer, Uint8Array.of(value))
const enumerated = (value: number): Uint8Array => encodeElement(tag.enumerated, Uint8Array.of(value))

/** `[APPLICATION n]`, constructed. */
const application = (number: number): number => 0x60 + number

const bindResponse = application(1)
const searchResultEntry = application(4)
const searchResultDone = application(5)

/** Every message may have the same id: the connection waits for its answer before it asks again. */
const message = (operation: Uint8Array): Buffer => Buffer.from(encodeElement(tag.sequence, small(1), operation))

/** An anonymous bind. */
export const bindRequest = message(
  encodeElement(application(0), small(3), octets(''), encodeElement(0x80, new Uint8Array(0))),
)

const subtree = 2
const neverDereference = 0
const noLimit = small(0)
const withValues = encodeElement(tag.boolean, Uint8Array.of(0))
const equalityMatch = 0xa3

/** A search below `base` for the certificate of the entry whose `mail` is the address. */
export const searchRequest = (base: string, address: string): Buffer =>
  message(
    encodeElement(
      application(3),
      octets(base),
      enumerated(subtree),
      enumerated(neverDereference),
      noLimit,
      noLimit,
      withValues,
      encodeElement(equalityMatch, octets('mail'), octets(address)),
      encodeElement(tag.sequence, octets('userCertificate;binary')),
    ),
  )

interface Element {
  readonly tag: number
  /** Where its content begins and ends. */
  readonly start: number
  readonly end: number
}

/** The BER element at `offset`, whose length may be longer than need be; null where not all of it has come. */
function elementAt(bytes: Uint8Array, offset: number): Element | null {
  const identifier = bytes[offset]
  const first = bytes[offset + 1]
  if (identifier === undefined || first === undefined) return null
  let start = offset + 2
  let length = first
  if (first >= 0x80) {
    length = 0
    for (const end = start + (first & 0x7f); start < end; start += 1) {
      const octet = bytes[start]
      if (octet === undefined) return null
      length = length * 256 + octet
    }
  }
  return start + length > bytes.length ? null : { tag: identifier, start, end: start + length }
}

function required(bytes: Uint8Array, offset: number): Element {
  const element = elementAt(bytes, offset)
  if (element === null) throw new Error('a message of slapd ends too soon')
  return element
}

/** Throws unless a BindResponse or SearchResultDone says that all went well. */
function requireSuccess(bytes: Uint8Array, operation: Element): void {
  const code = bytes[required(bytes, operation.start).start]
  if (code !== 0) throw new Error(`slapd refuses with result code ${code}`)
}

/** Asks what `next` makes, one search after the other. */
export function ldapConversation(next: () => Buffer): Conversation {
  const received = new Received()
  let read = 0
  let entries = 0
  return {
    next,
    take: (chunk) => {
      const bytes = received.add(chunk)
      for (;;) {
        const whole = elementAt(bytes, read)
        if (whole === null) return null
        read = whole.end
        const operation = required(bytes, required(bytes, whole.start).end)
        if (operation.tag === searchResultEntry) {
          entries += 1
          continue
        }
        if (operation.tag !== searchResultDone && operation.tag !== bindResponse) {
          throw new Error('slapd says something else')
        }
        requireSuccess(bytes, operation)
        if (read < bytes.length) throw new Error('more came than was asked for')
        const answered = entries > 0 ? 'found' : 'not found'
        received.clear()
        read = 0
        entries = 0
        return answered
      }
    },
  }
}
