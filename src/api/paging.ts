import { DomainError } from '../errors.ts'

/** Reads the cursor of a list: creation time and id of the last item. */
export const readCursor = (cursor: string | undefined): { at: number; id: string } => {
  if (cursor === undefined) return { at: Number.MAX_SAFE_INTEGER, id: '' }
  const match = /^(\d{1,15})\.([\w-]{1,64})$/.exec(cursor)
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new DomainError('invalid_request', 'cursor: send the one that the last page gave.')
  }
  return { at: Number(match[1]), id: match[2] }
}

interface Listed {
  readonly id: string
  readonly createdAt: number
}

/** Makes a page of rows that were read with one row too many, and the cursor of the next page. */
export const pageFrom = <T extends Listed>(rows: readonly T[], limit: number): { rows: T[]; next: string | null } => {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { rows: page, next: rows.length > limit && last !== undefined ? `${last.createdAt}.${last.id}` : null }
}
