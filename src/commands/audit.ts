import { Command } from 'commander'
import { auditLogEntry, auditVerificationAnswer } from '../api/admin-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { asAdministrator, withQuery, type ServiceOptions } from './caller.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { answer, answerPage, notInOrder, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions

interface ListOptions extends Options {
  readonly action?: string
  readonly subject?: string
  readonly actor?: string
  readonly from?: string
  readonly to?: string
  readonly limit: number
  readonly cursor?: string
}

const verify = (options: Options & { head?: string }): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = withQuery('/v1/admin/audit-log/verification', { head: options.head })
    const found = await caller.ask(auditVerificationAnswer, { method: 'GET', path })
    answer(options, found, () => [
      `${found.entries} entries, ${found.seals} seals, ${found.unsealed} not sealed yet`,
      `head ${found.head ?? '(none)'}`,
      ...found.faults.map((fault) => `FAULT ${fault}`),
      found.faults.length === 0 ? 'The log is whole.' : 'The log is NOT whole.',
    ])
    if (found.faults.length > 0) notInOrder()
  })

const list = (options: ListOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { action, subject, actor, from, to, limit, cursor } = options
    const path = withQuery('/v1/admin/audit-log', { action, subject, actor, from, to, limit: String(limit), cursor })
    const page = await caller.ask(pageOf(auditLogEntry), { method: 'GET', path })
    answerPage(options, page, (row) => [
      row.at,
      row.action,
      row.actor === null ? row.actorKind : `${row.actorKind} ${row.actor}`,
      `${row.subjectKind} ${row.subject}`,
      JSON.stringify(row.facts),
    ])
  })

export const auditCommand = (): Command =>
  group('audit', 'the audit log', [
    new Command('verify')
      .description('recompute the whole audit chain')
      .option('--head <hash>', 'a head that you wrote down earlier; it must still be part of the chain')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(verify),
    new Command('list')
      .description(
        'list entries, newest first, with ids only; values that name a person are read over the API, with a reason',
      )
      .option('--action <action>', 'only this action, such as certificate.revoked')
      .option('--subject <id>', 'only what was done to this subject')
      .option('--actor <id>', 'only what this actor did')
      .option('--from <time>', 'since this time, such as 2026-11-01T00:00:00Z')
      .option('--to <time>', 'until this time')
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
  ])
