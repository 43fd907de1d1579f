import type { z } from 'zod'
import type { Connection } from './connection.ts'
import { CertbookError } from './errors.ts'

/** The shape of one page. */
type PageShape<Item> = z.ZodType<{ items: Item[]; next: string | null }>

const itemsPerPage = 100

/** Yields all items of a list, and reads a page when the loop needs it. Also rejects with `answer_malformed`. */
export async function* allOf<Item>(
  connection: Connection,
  list: { readonly path: string; readonly credential: string | undefined },
  page: PageShape<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item> {
  let cursor: string | null = null
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { items, next }: { items: Item[]; next: string | null } = await connection.call({
      ...list,
      path: `${list.path}?limit=${itemsPerPage}${query}`,
      method: 'GET',
      answer: page,
      repeating: 'repeatable',
      signal,
    })
    // Without this a service could keep the loop going without ever giving it an item.
    if (items.length === 0 && next !== null) {
      throw new CertbookError('answer_malformed', 'A page of the list is empty, and there is another one.')
    }
    yield* items
    cursor = next
  } while (cursor !== null)
}
