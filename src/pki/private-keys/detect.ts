import type { Candidate, PrivateKeyForm } from './form.ts'
import { endOf, scanBinary } from './forms/binary.ts'
import { isKeyTypeAt, scanJwk } from './forms/jwk.ts'
import { isPrivateAt, isPuttyLine, labelledFormAt } from './forms/pem.ts'
import {
  base64Between,
  eachHexRun,
  holds,
  sextetKind,
  sextets,
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

/** The shortest private key to find is a bare EC key of 32 bytes, which has 52 characters. */
const fewestSextets = 48

/**
 * Finds private keys in a body, in all forms of `privateKeyFormNames`: as they are, or through one layer of base64 or
 * hexadecimal, and through one more where a CSR is around them. In UTF-8, UTF-16 or UTF-32; beside or inside other
 * content; escaped for JSON or not. Null if there are none. Takes time linear in the size. Never throws.
 */
export function findPrivateKey(body: Uint8Array): PrivateKeyFinding | null {
  return searchForPrivateKey(body).finding
}

/** Does what `findPrivateKey` does, and also returns how many bytes were looked at, each look counted. */
export function searchForPrivateKey(body: Uint8Array): { finding: PrivateKeyFinding | null; steps: number } {
  const search = new Search()
  search.inspect(body, 0)
  const { form, candidates, steps } = search
  return { finding: form === null ? null : { form, candidates }, steps }
}

class Search {
  form: PrivateKeyForm | null = null
  readonly candidates: Candidate[] = []
  steps = 0
  /** Whether an armoured text inside base64 or hexadecimal was already searched. One is allowed. */
  #armour = false

  readonly #report = (form: PrivateKeyForm, bytes?: Uint8Array): void => {
    this.form ??= form
    if (bytes !== undefined && this.candidates.length < mostCandidates) this.candidates.push({ form, bytes })
  }

  /**
   * Searches bytes of unknown content. `layer` is the number of encodings around them. `whole`: they are one DER
   * structure, such as a CSR, whose attributes may hold text of their own.
   */
  inspect(view: Uint8Array, layer: 0 | 1 | 2, whole = false): void {
    const held = survey(view)
    this.steps += view.length
    if ((held & notText) !== 0) this.steps += scanBinary(view, this.#report)
    // What was encoded and is not text has no escapes either.
    const binary = layer > 0 && (held & holds.manyControls) !== 0
    this.#inspectText(this.#plainText(view, binary ? held & holds.nul : held), layer, whole)
  }

  /** The text without what may stand between its ASCII characters: the zeros of UTF-16, escapes, percent signs. */
  #plainText(view: Uint8Array, held: number): Uint8Array {
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
      if ((survey(text) & notText) !== 0) this.steps += scanBinary(text, this.#report)
    }
    return text
  }

  #inspectText(text: Uint8Array, layer: 0 | 1 | 2, whole: boolean): void {
    this.steps += text.length
    const { labels, keyTypes } = this.#scanText(text)
    if (keyTypes) this.steps += scanJwk(text, this.#report)
    if (layer === 2 || (layer === 1 && !whole && (!labels || this.#armour))) return
    if (layer === 1 && !whole) this.#armour = true
    const inner = layer === 0 ? 1 : 2
    this.#eachBase64Run(text, (bytes, phase) => this.inspect(bytes, inner, phase === 0 && isWholeSequence(bytes)))
    if (layer === 0 || whole) this.steps += eachHexRun(text, (bytes) => this.inspect(bytes, inner))
  }

  /** Searches text for labels and names that mark a key. */
  #scanText(text: Uint8Array): { labels: boolean; keyTypes: boolean } {
    let labels = false
    let keyTypes = false
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
      const form = labelledFormAt(text, place)
      labels ||= form !== null
      if (form === 'putty') this.#report(form, text)
      else if (form !== null) this.#report(form)
    }
    return { labels, keyTypes }
  }

  /**
   * Hands over the bytes of every long run of base64. White space may interrupt a run. It may begin with other words
   * or a prefix, so it is decoded from each of the four places at which a group of four can begin.
   */
  #eachBase64Run(text: Uint8Array, found: (bytes: Uint8Array, phase: number) => void): void {
    this.steps += text.length
    let start = 0
    let count = 0
    for (let at = 0; at <= text.length; at++) {
      const byte = at < text.length ? (text[at] ?? 0) : 0
      const kind = sextets[byte] ?? sextetKind.other
      const dashes = byte === 0x2d && text[at + 1] === 0x2d && text[at + 2] === 0x2d
      if (kind < 64 && !dashes) {
        count++
      } else if (kind !== sextetKind.space) {
        const phases = count < fewestSextets ? 0 : 4
        for (let phase = 0; phase < phases; phase++) {
          this.steps += at - start
          found(base64Between(text, start, at, phase), phase)
        }
        if (dashes) while (text[at + 1] === 0x2d) at++
        start = at + 1
        count = 0
      }
    }
  }
}

/** Whether one DER SEQUENCE fills all of the bytes. */
const isWholeSequence = (bytes: Uint8Array): boolean => bytes[0] === 0x30 && endOf(bytes, 0) === bytes.length

/** What is read around one word "private". */
const labelSteps = 96

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
