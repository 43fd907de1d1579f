import { Command, Option } from 'commander'
import type { z } from 'zod'
import { caRevocationState } from '../api/admin-shapes.ts'
import { caRevocation } from '../api/ca-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { asAdministrator, withQuery, type ServiceOptions } from './caller.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { answer, answerPage, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type ListOptions = Options & { readonly limit: number; readonly cursor?: string; readonly state?: string }

const revocations = '/v1/admin/ca-revocations'

const list = (options: ListOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { limit, cursor, state } = options
    const path = withQuery(revocations, { limit: String(limit), cursor, state })
    const page = await caller.ask(pageOf(caRevocation), { method: 'GET', path })
    answerPage(options, page, (row) => [
      row.id,
      row.state,
      row.connectionId,
      row.serialNumber,
      row.issuer,
      row.reason ?? 'unspecified',
      row.requestedAt,
      row.lastFailure ?? '',
    ])
  })

const described = ({ serialNumber, issuer, confirmedAt }: z.output<typeof caRevocation>): string[] => [
  `Certificate ${serialNumber} of ${issuer} counts as revoked at its CA since ${confirmedAt}.`,
]

const confirm = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = `${revocations}/${encodeURIComponent(id)}/confirmation`
    const confirmed = await caller.ask(caRevocation, { method: 'POST', path })
    answer(options, confirmed, () => described(confirmed))
  })

export const revocationCommand = (): Command =>
  group('revocation', 'revocations that CAs elsewhere have to be told of', [
    new Command('list')
      .description('list them, newest first; by_hand: an operator has to revoke at the CA')
      .addOption(new Option('--state <state>', 'only those in this state').choices(caRevocationState.options))
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
    new Command('confirm')
      .description('confirm that a certificate was revoked at its CA')
      .argument('<id>', 'the id of the revocation')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(confirm),
  ])
