import { concatBytes } from './encoding.ts'

/** Identifier octets of X.690 that PKIX uses. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** The identifier octet of a context-specific tag around other elements. */
export const contextConstructed = (number: number): number => 0xa0 + number
/** The identifier octet of a context-specific tag with a value. */
export const contextPrimitive = (number: number): number => 0x80 + number

/** One encoded element. `bytes` is all of it, `content` is what follows its length. Both are views. */
export interface DerElement {
  readonly tag: number
  readonly bytes: Uint8Array
  readonly content: Uint8Array
}

/** The bytes are not DER, or not of the expected type. Callers turn this into their own refusal. */
export class MalformedDer extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedDer'
  }
}

/** PKIX structures are never deeper. The limit protects the stack from hostile nesting. */
const depthLimit = 32

/**
 * Reads the element at the start of `bytes`; more may follow it. Lengths must be definite and minimal (X.690 section
 * 10.1). Tag numbers above 30 do not occur in PKIX and are refused. Throws MalformedDer.
 */
export function readFirstElement(bytes: Uint8Array): DerElement {
  const identifier = bytes[0]
  const first = bytes[1]
  if (identifier === undefined || first === undefined) throw new MalformedDer('ends within a header')
  if ((identifier & 0x1f) === 0x1f) throw new MalformedDer('tag number above 30')
  let length = first
  let start = 2
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > 4) throw new MalformedDer('indefinite or oversized length')
    length = 0
    for (let index = 0; index < count; index++) {
      const byte = bytes[start++]
      if (byte === undefined) throw new MalformedDer('ends within a length')
      length = length * 256 + byte
    }
    if (length < 0x80 || length < 256 ** (count - 1)) throw new MalformedDer('length is not minimal')
  }
  const end = start + length
  if (end > bytes.length) throw new MalformedDer('ends within an element')
  return { tag: identifier, bytes: bytes.subarray(0, end), content: bytes.subarray(start, end) }
}

/** Reads `bytes` as exactly one element. With `expected`: of this type. Throws MalformedDer. */
export function readElement(bytes: Uint8Array, expected?: number): DerElement {
  const element = readFirstElement(bytes)
  if (element.bytes.length !== bytes.length) throw new MalformedDer('bytes after the element')
  if (expected !== undefined && element.tag !== expected) throw new MalformedDer('element of another type')
  return element
}

/** Reads the elements inside a constructed element, one after the other. */
export class DerSequence {
  readonly #content: Uint8Array
  #offset = 0

  constructor(element: DerElement) {
    if ((element.tag & 0x20) === 0) throw new MalformedDer('element is not constructed')
    this.#content = element.content
  }

  get done(): boolean {
    return this.#offset >= this.#content.length
  }

  /** The next element. With `expected`: of this type. Throws MalformedDer. */
  next(expected?: number): DerElement {
    const element = readFirstElement(this.#content.subarray(this.#offset))
    if (expected !== undefined && element.tag !== expected) throw new MalformedDer('element of another type')
    this.#offset += element.bytes.length
    return element
  }

  /** The next element if it is of this type. Otherwise undefined, and nothing is consumed. */
  optional(expected: number): DerElement | undefined {
    return this.#content[this.#offset] === expected ? this.next() : undefined
  }

  /** All remaining elements. With `expected`: all of this type. Throws MalformedDer. */
  rest(expected?: number): DerElement[] {
    const elements: DerElement[] = []
    while (!this.done) elements.push(this.next(expected))
    return elements
  }

  /** Throws MalformedDer if anything is left. */
  end(): void {
    if (!this.done) throw new MalformedDer('more elements than the type has')
  }
}

/**
 * Checks an element and everything inside it by X.690 sections 8 and 10: definite minimal lengths, minimal integers,
 * TRUE as 0xff, strings in primitive form. Throws MalformedDer.
 */
export function requireDer(element: DerElement, depth = 0): void {
  if (depth > depthLimit) throw new MalformedDer('nested too deeply')
  if (element.tag === tag.integer) readInteger(element)
  if (element.tag === tag.boolean) readBoolean(element)
  if (element.tag === tag.null && element.content.length !== 0) throw new MalformedDer('NULL with content')
  const constructed = (element.tag & 0x20) !== 0
  const universal = (element.tag & 0xc0) === 0
  if (universal && constructed !== (element.tag === tag.sequence || element.tag === tag.set)) {
    throw new MalformedDer('string in pieces, or a list that is primitive')
  }
  if (constructed) for (const inner of new DerSequence(element).rest()) requireDer(inner, depth + 1)
}

/** The two's-complement octets of an INTEGER, minimal (X.690 section 8.3.2). Throws MalformedDer. */
export function readInteger(element: DerElement): Uint8Array {
  const [first, second] = element.content
  if (element.tag !== tag.integer || first === undefined) throw new MalformedDer('not an INTEGER')
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    throw new MalformedDer('INTEGER is not minimal')
  }
  return element.content
}

/** The octets of an INTEGER of zero or more, without its sign octet. Zero is one octet. Throws MalformedDer. */
export function readUnsigned(element: DerElement): Uint8Array {
  const content = readInteger(element)
  if ((content[0] ?? 0) >= 0x80) throw new MalformedDer('INTEGER is negative')
  return content[0] === 0 && content.length > 1 ? content.subarray(1) : content
}

/** A small INTEGER of zero or more. Throws MalformedDer. */
export function readSmallInteger(element: DerElement): number {
  const octets = readUnsigned(element)
  if (octets.length > 4) throw new MalformedDer('INTEGER too large')
  return octets.reduce((value, octet) => value * 256 + octet, 0)
}

/** A BOOLEAN, TRUE as 0xff (X.690 section 11.1). Throws MalformedDer. */
export function readBoolean(element: DerElement): boolean {
  const value = element.content[0]
  if (element.tag !== tag.boolean || element.content.length !== 1 || (value !== 0 && value !== 0xff)) {
    throw new MalformedDer('not a BOOLEAN')
  }
  return value === 0xff
}

/** A BIT STRING of whole octets, such as a key or signature. Throws MalformedDer. */
export function readOctetsOfBitString(element: DerElement): Uint8Array {
  if (element.tag !== tag.bitString || element.content[0] !== 0) throw new MalformedDer('not whole octets')
  return element.content.subarray(1)
}

/** An OBJECT IDENTIFIER in dotted form. Throws MalformedDer. */
export function readObjectIdentifier(element: DerElement): string {
  if (element.tag !== tag.objectIdentifier && (element.tag & 0xe0) !== 0x80) throw new MalformedDer('not an OID')
  const arcs: number[] = []
  let arc = 0
  let open = false
  for (const octet of element.content) {
    if (!open && octet === 0x80) throw new MalformedDer('OID is not minimal')
    arc = arc * 128 + (octet & 0x7f)
    if (!Number.isSafeInteger(arc)) throw new MalformedDer('OID too large')
    open = octet >= 0x80
    if (open) continue
    if (arcs.length > 0) arcs.push(arc)
    else arcs.push(Math.min(Math.floor(arc / 40), 2), arc - 40 * Math.min(Math.floor(arc / 40), 2))
    arc = 0
  }
  if (open || arcs.length === 0) throw new MalformedDer('not an OID')
  return arcs.join('.')
}

/** An element of type `identifier` around the given encodings. */
export function encodeElement(identifier: number, ...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = contents.reduce((sum, content) => sum + content.length, 0)
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  const header = length < 0x80 ? [identifier, length] : [identifier, 0x80 + octets.length, ...octets]
  return concatBytes(Uint8Array.from(header), ...contents)
}

/**
 * Does what `encodeElement` does, for a list of any length. As arguments, a hundred thousand encodings could overflow
 * the stack.
 */
export function encodeList(identifier: number, contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(contents.reduce((sum, content) => sum + content.length, 0))
  let offset = 0
  for (const content of contents) {
    whole.set(content, offset)
    offset += content.length
  }
  return encodeElement(identifier, whole)
}

/** An INTEGER of zero or more from its octets: minimal, with a sign octet if it needs one. */
export function encodeUnsigned(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  const first = octets.findIndex((octet) => octet !== 0)
  const digits = first < 0 ? Uint8Array.of(0) : octets.subarray(first)
  return (digits[0] ?? 0) >= 0x80
    ? encodeElement(tag.integer, Uint8Array.of(0), digits)
    : encodeElement(tag.integer, digits)
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function encodeObjectIdentifier(dotted: string): Uint8Array<ArrayBuffer> {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number)
  const octets = [first * 40 + second, ...arcs].flatMap((arc) => {
    const digits = [arc % 128]
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 + (rest % 128))
    return digits
  })
  return encodeElement(tag.objectIdentifier, Uint8Array.from(octets))
}

/** A BIT STRING of whole octets, such as a key or signature. */
export function encodeOctetsAsBitString(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeElement(tag.bitString, Uint8Array.of(0), octets)
}
