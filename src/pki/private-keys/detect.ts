import type { Candidate, PrivateKeyForm } from './form.ts'
import { eachBase64Run, eachReading, fewestSextetsOfKey, type Base64Run } from './base64.ts'
import { eachDump } from './dumps.ts'
import { endOf, scanBinary } from './forms/binary.ts'
import { isKeyTypeAt, scanJwk } from './forms/jwk.ts'
import { NamedValues } from './forms/named.ts'
import { isPrivateAt, isPuttyLine, labelledFormAt } from './forms/pem.ts'
import { eachListOfBytes } from './numbers.ts'
import { unpackAt } from './unpack.ts'
import {
  eachHexRun,
  holds,
  isAllHex,
  survey,
  withoutEscapes,
  withoutNuls,
  withoutPercents,
  withoutUtf8,
} from './views.ts'

/** One or more private keys that were found. It holds nothing about the keys themselves. */
export interface PrivateKeyFinding {
  /** The form of the first key that was found. */
  readonly form: PrivateKeyForm
  /** Bytes of keys, for `recoverPublicKey` to read. Never store, log or send them. */
  readonly candidates: readonly Candidate[]
}

/** A body with more keys is refused too, but no more of them are read. */
const mostCandidates = 4

/** JSON in a string in a string in a string. */
const mostEscapes = 3

/** Plain text has none of these bytes. Every key that is not text has some. */
const notText = holds.nul | holds.control | holds.high

/** How many encodings around a key are looked through. One more is, where a label is inside of them. */
const mostLayers = 2

/** How many bytes are decoded for each byte of a body. Only a body that is made for it has more. */
const decodedForEachByte = 8

/** A small body may have this many. */
const fewestDecoded = 4_096

/** How many compressed things are looked into. */
const mostPacked = 4

/**
 * Finds private keys in a body, in all forms of `privateKeyFormNames`: as they are, or through two layers of base64,
 * hexadecimal, a dump, a list of numbers, gzip or ZIP. A CSR around the key is no layer. In UTF-8, UTF-16 or UTF-32;
 * beside or inside other content; escaped for JSON or not. Null if there are none. Takes time linear in the size. Never
 * throws.
 */
export function findPrivateKey(body: Uint8Array): PrivateKeyFinding | null {
  return searchForPrivateKey(body).finding
}

/** Does what `findPrivateKey` does, and also returns how many bytes were looked at, each look counted. */
export function searchForPrivateKey(body: Uint8Array): { finding: PrivateKeyFinding | null; steps: number } {
  const search = new Search(decodedForEachByte * body.length + fewestDecoded)
  search.inspect(body, 0)
  const { form, candidates, steps } = search
  return { finding: form === null ? null : { form, candidates }, steps }
}

class Search {
  form: PrivateKeyForm | null = null
  readonly candidates: Candidate[] = []
  steps = 0
  /** How many bytes may still be decoded. */
  #left: number
  #packed = 0
  /** Whether an armoured text inside the last layer was already searched. One is allowed. */
  #armour = false

  constructor(decoded: number) {
    this.#left = decoded
  }

  readonly #report = (form: PrivateKeyForm, bytes?: Uint8Array): void => {
    this.form ??= form
    if (bytes !== undefined && !this.#isFull()) this.candidates.push({ form, bytes })
  }

  /** Whether so many keys were found that no other one is read. */
  #isFull(): boolean {
    return this.candidates.length >= mostCandidates
  }

  /** Searches bytes of unknown content. `layers` is the number of encodings around them. */
  inspect(view: Uint8Array, layers: number): void {
    const held = survey(view)
    this.steps += view.length
    if ((held & notText) !== 0) this.#inspectBinary(view, layers)
    // What is not text has no escapes either.
    const binary = (held & holds.manyControls) !== 0
    // A structure such as a CSR has text of its own in its attributes.
    const inner = isWholeSequence(view) ? layers - 1 : layers
    this.#inspectText(this.#plainText(view, layers, binary ? held & holds.nul : held), inner)
  }

  #inspectBinary(view: Uint8Array, layers: number): void {
    const steps = scanBinary(view, this.#report, (from, at) => {
      if (this.#packed >= mostPacked || layers >= mostLayers) return
      this.#packed++
      const { bytes, inflated, steps: unpacking } = unpackAt(from, at, this.#left)
      this.steps += unpacking
      this.#left -= inflated - bytes.length
      this.#inspectDecoded(bytes, layers)
    })
    this.steps += steps
  }

  /** Searches what was decoded out of `layers`, as far as so much may still be. */
  #inspectDecoded(bytes: Uint8Array, layers: number): void {
    if (bytes.length > this.#left || this.#isFull()) return
    this.#left -= bytes.length
    this.inspect(bytes, layers + 1)
  }

  /** The text without what may stand between its ASCII characters: the zeros of UTF-16, escapes, percent signs. */
  #plainText(view: Uint8Array, layers: number, held: number): Uint8Array {
    let text = view
    const take = (next: Uint8Array): void => {
      this.steps += text.length
      text = next
    }
    if ((held & holds.nul) !== 0) take(withoutNuls(text))
    // Bytes that somebody took for Latin-1. JSON escapes their control characters.
    if ((held & (holds.high | holds.manyControls)) === holds.high) take(withoutUtf8(text))
    if ((held & holds.backslash) !== 0) {
      for (let round = 0; round < mostEscapes && text.includes(0x5c); round++) take(withoutEscapes(text))
    }
    if ((held & holds.percent) !== 0) take(withoutPercents(text))
    // Binary keys are broken without their zeros. They were searched before, as they came.
    if (text.length !== view.length && (held & holds.nul) === 0) {
      this.steps += text.length
      if ((survey(text) & notText) !== 0) this.#inspectBinary(text, layers)
    }
    return text
  }

  #inspectText(text: Uint8Array, layers: number): void {
    this.steps += text.length
    const { labels, keyTypes } = this.#scanText(text)
    if (keyTypes) this.steps += scanJwk(text, this.#report)
    const deeper = layers < mostLayers || (labels && !this.#armour)
    if (layers >= mostLayers && deeper) this.#armour = true
    const inspect = (bytes: Uint8Array): void => {
      if (deeper) this.#inspectDecoded(bytes, layers)
    }
    const named = new NamedValues(text, this.#report)
    let steps = eachBase64Run(text, (run) => {
      // What is found behind the last key that is read changes nothing.
      if (!this.#isFull()) named.takeBase64(run.start, run.end)
      if (deeper) this.#inspectBase64(text, run, inspect)
    })
    steps += eachHexRun(text, inspect, (start) => named.takeHex(start))
    if (deeper) steps += eachListOfBytes(text, inspect) + eachDump(text, inspect)
    this.steps += steps + named.steps
  }

  #inspectBase64(text: Uint8Array, run: Base64Run, inspect: (bytes: Uint8Array) => void): void {
    if (run.count < fewestSextetsOfKey || run.count > this.#left || isAllHex(text, run.start, run.end)) return
    this.#left -= run.count
    const steps = eachReading(text, run, inspect)
    this.steps += steps
  }

  /** Searches text for labels and names that mark a key. */
  #scanText(text: Uint8Array): { labels: boolean; keyTypes: boolean } {
    let labels = false
    let keyTypes = false
    // No label goes on behind a word that ended none.
    let floor = 0
    // Every "private" and every quoted "kty" has one of its characters at a place that is a multiple of five.
    for (let at = 4; at < text.length + 4; at += 5) {
      const letter = landmarks[text[at] ?? 0] ?? 0
      if (letter === 0) continue
      keyTypes ||= (letter & landmark.keyType) !== 0 && hasKeyTypeNear(text, at)
      const place = at - (letter & landmark.offset) + 3
      if ((letter & landmark.private) === 0 || !isPrivateAt(text, place)) continue
      // One label is enough to refuse; of more only what can be read counts.
      if (labels && !isPuttyLine(text, place)) continue
      this.steps += labelSteps
      const form = labelledFormAt(text, place, floor)
      floor = place
      labels ||= form !== null
      if (form === 'putty') this.#report(form, text)
      else if (form !== null) this.#report(form)
    }
    return { labels, keyTypes }
  }
}

/** Whether one DER SEQUENCE fills all of the bytes. */
const isWholeSequence = (bytes: Uint8Array): boolean => bytes[0] === 0x30 && endOf(bytes, 0) === bytes.length

/** What is read around one word "private". */
const labelSteps = 64

const landmark = { offset: 7, private: 8, keyType: 16 } as const

/** The letters of "private" with their places in it, and the characters of "kty" in its quotes. */
const landmarks = new Uint8Array(256)
for (const [offset, letter] of Array.from('private').entries()) {
  landmarks[letter.charCodeAt(0)] = landmark.private | offset
  landmarks[letter.toUpperCase().charCodeAt(0)] = landmark.private | offset
}
for (const letter of '"kty') landmarks[letter.charCodeAt(0)] = (landmarks[letter.charCodeAt(0)] ?? 0) | landmark.keyType

/** Whether "kty" in quotes stands where the character at `at` is part of it. */
const hasKeyTypeNear = (text: Uint8Array, at: number): boolean => {
  for (let start = at - 4; start <= at; start++) if (text[start] === 0x22 && isKeyTypeAt(text, start)) return true
  return false
}
