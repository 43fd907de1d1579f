const pattern = /^(?:[0-9a-f]{2})+$/

/** The bytes of lower-case hexadecimal as `toHex` writes it, at least one. Throws TypeError for any other text. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (!pattern.test(text)) throw new TypeError('not lower-case hexadecimal of whole bytes')
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(text.slice(2 * index, 2 * index + 2), 16)
  }
  return bytes
}
