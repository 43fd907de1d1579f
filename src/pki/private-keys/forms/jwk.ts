import type { Report } from '../form.ts'

const quote = 0x22

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** Whether `name` and a closing quote stand at `at`. */
function isName(view: Uint8Array, at: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) if (view[at + index] !== name.charCodeAt(index)) return false
  return view[at + name.length] === quote
}

/** Whether the member name "kty" begins with the quote at `at`. */
export const isKeyTypeAt = (view: Uint8Array, at: number): boolean => isName(view, at + 1, 'kty')

const privateMembers = ['d', 'priv']
const marks = { type: 1, value: 2, told: 4 } as const

/**
 * Finds JSON objects with "kty" and "d" (RFC 7517, RFC 7518) or "priv" at any depth. Also finds them inside a string
 * whose quotes lost their meaning when escapes were resolved. One step per byte.
 */
export function scanJwk(view: Uint8Array, report: Report): number {
  const starts = [0]
  const found = [0]
  for (let at = 0; at < view.length; at++) {
    const byte = view[at]
    const top = found.length - 1
    if (byte === 0x7b) {
      starts.push(at)
      found.push(0)
    } else if (byte === 0x7d && top > 0) {
      if (((found.pop() ?? 0) & marks.told) !== 0) report('jwk', view.subarray(starts.at(-1), at + 1))
      starts.pop()
    } else if (byte === 0x3a) at = behindPlainString(view, at)
    else if (byte === quote) {
      found[top] = (found[top] ?? 0) | memberAt(view, at)
      if (found[top] === (marks.type | marks.value)) {
        found[top] |= marks.told
        // Report it now: a body that was cut off never closes the object.
        report('jwk')
      }
    }
  }
  return view.length
}

/** What the member whose name begins with the quote at `at` tells about its object. */
function memberAt(view: Uint8Array, at: number): number {
  const type = isName(view, at + 1, 'kty')
  const name = type ? 'kty' : privateMembers.find((member) => isName(view, at + 1, member))
  if (name === undefined) return 0
  let place = at + name.length + 2
  while (isSpace(view[place])) place++
  if (view[place++] !== 0x3a) return 0
  if (type) return marks.type
  while (isSpace(view[place])) place++
  const first = view[place + 1]
  return view[place] === quote && first !== undefined && first !== quote ? marks.value : 0
}

/** The last byte of the string after the colon at `at`, if it cannot hold an object. Otherwise the colon itself. */
function behindPlainString(view: Uint8Array, at: number): number {
  let place = at + 1
  while (isSpace(view[place])) place++
  const first = view[place + 1]
  if (view[place] !== quote || first === 0x7b || first === 0x5b || first === 0x5c || isSpace(first)) return at
  const end = view.indexOf(quote, place + 1)
  return end < 0 ? at : end
}
