import type { Candidate, PrivateKeyForm } from './form.ts'
import { scanBinary } from './forms/binary.ts'
import { isKeyTypeAt, scanJwk } from './forms/jwk.ts'
import { isPrivateAt, labelledFormAt } from './forms/pem.ts'
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

/** A private key, or several, in what was sent. Says nothing of the key itself. */
export interface PrivateKeyFinding {
  /** The form of the first that was found. */
  readonly form: PrivateKeyForm
  /** What `recoverPublicKey` may try to read. These are bytes of the key: never to be stored, logged or sent. */
  readonly candidates: readonly Candidate[]
}

/** A body that holds more keys than this is refused all the same, but no more of them are read. */
const mostCandidates = 4

/** JSON in a string in a string in a string. */
const mostEscapes = 3

/** What plain text does not hold, and every key that is not text does. */
const notText = holds.nul | holds.control | holds.high

/** The shortest private key that is looked for, an EC key of 32 bytes by itself, has 52 characters. */
const fewestSextets = 48

/**
 * The private keys in a body, in any of the forms of `privateKeyFormNames`, each as it is or through one layer of base64
 * or hexadecimal, in UTF-8, UTF-16 or UTF-32, beside or inside other content, escaped for JSON or not; null if there
 * are none. Takes time linear in the size, and never throws.
 */
export function findPrivateKey(body: Uint8Array): PrivateKeyFinding | null {
  return searchForPrivateKey(body).finding
}

/** As `findPrivateKey`, with the number of bytes that were looked at, counted each time. */
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
  /** Whether the one armoured text was looked into that may stand inside base64 or hexadecimal. */
  #armour = false

  readonly #report = (form: PrivateKeyForm, bytes?: Uint8Array): void => {
    this.form ??= form
    if (bytes !== undefined && this.candidates.length < mostCandidates) this.candidates.push({ form, bytes })
  }

  /** Looks into bytes of which it is not known what they are; `layer` counts the encodings they came through. */
  inspect(view: Uint8Array, layer: 0 | 1 | 2): void {
    const held = survey(view)
    this.steps += view.length
    if ((held & notText) !== 0) this.steps += scanBinary(view, this.#report)
    // What came through an encoding and is not text has no escapes as well.
    const binary = layer > 0 && (held & holds.manyControls) !== 0
    this.#inspectText(this.#plainText(view, binary ? held & holds.nul : held), layer)
  }

  /** The same without what may stand between text and its ASCII: the zeros of UTF-16, escapes, percent signs. */
  #plainText(view: Uint8Array, held: number): Uint8Array {
    let text = view
    const take = (next: Uint8Array): void => {
      this.steps += text.length
      text = next
    }
    if ((held & holds.nul) !== 0) take(withoutNuls(text))
    // Bytes that were taken for characters of Latin-1: their control characters are escaped in JSON.
    if ((held & (holds.high | holds.manyControls)) === holds.high) take(withoutUtf8(text))
    if ((held & holds.backslash) !== 0) {
      for (let round = 0; round < mostEscapes && text.includes(0x5c); round++) take(withoutEscapes(text))
    }
    if ((held & holds.percent) !== 0) take(withoutPercents(text))
    // Bytes that lost their zeros are no key any more; as they came, they were looked at before.
    if (text.length !== view.length && (held & holds.nul) === 0) {
      this.steps += text.length
      if ((survey(text) & notText) !== 0) this.steps += scanBinary(text, this.#report)
    }
    return text
  }

  #inspectText(text: Uint8Array, layer: 0 | 1 | 2): void {
    this.steps += text.length
    const { labels, keyTypes } = this.#scanText(text)
    if (keyTypes) this.steps += scanJwk(text, this.#report)
    if (layer === 2 || (layer === 1 && (!labels || this.#armour))) return
    if (layer === 1) this.#armour = true
    const inner = layer === 0 ? 1 : 2
    this.#eachBase64Run(text, (bytes) => this.inspect(bytes, inner))
    if (layer === 0) this.steps += eachHexRun(text, (bytes) => this.inspect(bytes, 1))
  }

  /** Labels and names by which text shows what it is. */
  #scanText(text: Uint8Array): { labels: boolean; keyTypes: boolean } {
    let labels = false
    let keyTypes = false
    // Every "private" and every "kty" in quotes has one of its characters at every fifth place.
    for (let at = 4; at < text.length + 4; at += 5) {
      const letter = landmarks[text[at] ?? 0] ?? 0
      if (letter === 0) continue
      keyTypes ||= (letter & landmark.keyType) !== 0 && hasKeyTypeNear(text, at)
      const place = at - (letter & landmark.offset) + 3
      if ((letter & landmark.private) === 0 || !isPrivateAt(text, place)) continue
      this.steps += labelSteps
      const form = labelledFormAt(text, place)
      labels ||= form !== null
      if (form === 'putty') this.#report(form, text)
      else if (form !== null) this.#report(form)
    }
    return { labels, keyTypes }
  }

  /**
   * Hands over the bytes of every long run of base64, which white space may interrupt. A run may begin with words of
   * another kind, so it is read from each of the four places at which a word in it begins a group of four.
   */
  #eachBase64Run(text: Uint8Array, found: (bytes: Uint8Array) => void): void {
    this.steps += text.length
    let start = 0
    let count = 0
    let phases = 0
    let fresh = true
    for (let at = 0; at <= text.length; at++) {
      const byte = at < text.length ? (text[at] ?? 0) : 0
      const kind = sextets[byte] ?? sextetKind.other
      const dashes = byte === 0x2d && text[at + 1] === 0x2d && text[at + 2] === 0x2d
      if (kind < 64 && !dashes) {
        if (fresh) phases |= 1 << (count & 3)
        fresh = false
        count++
      } else if (kind === sextetKind.space) {
        fresh = true
      } else {
        if (count < fewestSextets) phases = 0
        for (let phase = 0; phase < 4; phase++) {
          if ((phases & (1 << phase)) === 0) continue
          this.steps += at - start
          found(base64Between(text, start, at, phase))
        }
        if (dashes) while (text[at + 1] === 0x2d) at++
        start = at + 1
        count = 0
        phases = 0
        fresh = true
      }
    }
  }
}

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
