import { Command } from 'commander'
import type { z } from 'zod'
import { foundLookup } from '../api/admin-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { asAdministrator, type Caller, type ServiceOptions } from './caller.ts'
import { cursorOption, group, jsonOption, limitOption, reasonOption, urlOption } from './options.ts'
import { answerPage, CommandFailed, readLines, type OutputOptions } from './terminal.ts'

type FoundLookup = z.output<typeof foundLookup>

interface SearchOptions extends OutputOptions, ServiceOptions {
  readonly asker?: string
  readonly address?: boolean
  readonly from: string
  readonly to?: string
  readonly reason: string
  readonly limit: number
  readonly cursor?: string
}

/**
 * Reads pages until `limit` rows are found. The service looks at a limited number of rows per page, so a page may be
 * empty and still have a next one.
 */
async function searchPages(caller: Caller, body: { readonly cursor: string | undefined }, limit: number) {
  const found = { items: [] as FoundLookup[], next: null as string | null }
  let { cursor } = body
  do {
    const call = { method: 'POST', path: '/v1/admin/query-log/search', body: { ...body, cursor } } as const
    const page = await caller.ask(pageOf(foundLookup), call)
    found.items.push(...page.items)
    found.next = page.next
    cursor = page.next ?? undefined
  } while (found.next !== null && found.items.length < limit)
  return found
}

async function search(options: SearchOptions): Promise<void> {
  const { asker, from, reason, limit, cursor } = options
  const address = options.address === true ? (await readLines('Address that was asked for: '))[0] : undefined
  if (asker === undefined && address === undefined) {
    throw new CommandFailed('name who asked with --asker ID, or what was asked for with --address and standard input')
  }
  const body = { asker, address, from, to: options.to ?? new Date().toISOString(), reason, limit, cursor }
  await asAdministrator(options, async (caller) => {
    const page = await searchPages(caller, body, limit)
    answerPage(options, page, (row) => [row.at, row.asker, row.status, row.address])
  })
}

export const queryLogCommand = (): Command =>
  group('query-log', 'who looked up which address', [
    new Command('search')
      .description('search the log of lookups; the search itself is audited with its reason')
      .option('--asker <id>', 'only lookups of this subscriber')
      .option('--address', 'only lookups of one address, read from standard input: others can see a command line')
      .requiredOption('--from <time>', 'since this time, such as 2026-11-01T00:00:00Z')
      .option('--to <time>', 'until this time (default: now)')
      .addOption(reasonOption())
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(search),
  ])
