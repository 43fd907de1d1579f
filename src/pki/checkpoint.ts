import { fromBase64, toBase64 } from './encoding.ts'
import type { TreeHead } from './merkle-tree.ts'

/** The text of a checkpoint (C2SP tlog-checkpoint): the origin of the log, the size of its tree, and the root. */

export const checkpointText = (origin: string, { size, root }: TreeHead): string =>
  `${origin}\n${size}\n${toBase64(root)}\n`

/** Reads the text of one origin. Extension lines are passed over. Null if it is none. */
export function readCheckpoint(origin: string, text: string): TreeHead | null {
  const [found, size = '', encoded = ''] = text.split('\n')
  const root = fromBase64(encoded)
  if (found !== origin || !/^(?:0|[1-9]\d{0,14})$/.test(size) || root?.length !== 32) return null
  return { size: Number(size), root }
}

/** Cuts a file of notes at the empty lines between them. Each note ends with a line feed again. */
export const notesOf = (content: string): string[] =>
  content
    .split(/\n{2,}(?!\u2014 )/u)
    .map((note) => note.replace(/^\n+|\n+$/g, ''))
    .filter((note) => note !== '')
    .map((note) => `${note}\n`)
