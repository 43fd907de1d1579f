import { Command } from 'commander'
import { listedRequest, requestReading, type RequestReading } from '../api/admin-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { commandLine } from '../audit/entries.ts'
import { approvalCommands } from './approval.ts'
import { asAdministrator, withQuery, type ServiceOptions } from './caller.ts'
import { byHandCommands } from './request-by-hand.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { answer, answerPage, table, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type ListOptions = Options & { readonly limit: number; readonly cursor?: string; readonly state?: string }

const requests = '/v1/admin/certificate-requests'

const list = (options: ListOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { limit, cursor, state } = options
    const path = withQuery(requests, { limit: String(limit), cursor, state })
    const page = await caller.ask(pageOf(listedRequest), { method: 'GET', path })
    answerPage(options, page, (row) => [
      row.id,
      row.state,
      row.use,
      row.createdAt,
      row.connectionName ?? row.connectionId,
      row.reason ?? row.lastFailure ?? '',
    ])
  })

const ruleNow = { unchanged: 'unchanged since', changed: 'changed since', gone: 'removed since' } as const

/** The rule as it was when it matched the request, and what has become of the rule. */
function ruleInWords(rule: RequestReading['rule']): string {
  if (rule === null) return '-'
  const author = rule.author === commandLine ? 'the command line' : rule.author
  const place = rule.position === null ? '' : `at position ${rule.position}, `
  return `${place}written by ${author}, ${ruleNow[rule.state]} it caught the request`
}

/** A request in words. Its certificate takes many lines, so it stands outside the table. */
const described = ({ approvals, returnedCertificate, key, rule, ...found }: RequestReading): string[] => [
  ...table([
    ...Object.entries(found).map(([name, value]) => [name, String(value ?? '-')]),
    ['key', `${key.algorithm}, SHA-256 ${key.spkiSha256}`],
    ['rule', ruleInWords(rule)],
    ['approvals', `${approvals.given.filter(({ decision }) => decision === 'approved').length} of ${approvals.needed}`],
    ...approvals.given.map(({ administratorId, decision, at }) => [decision, `${administratorId}, ${at}`]),
  ]),
  ...(returnedCertificate === null ? [] : ['what the CA returned, and was not kept:', returnedCertificate.trimEnd()]),
]

const show = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = `${requests}/${encodeURIComponent(id)}`
    const found = await caller.ask(requestReading, { method: 'GET', path })
    answer(options, found, () => described(found))
  })

export const requestCommand = (): Command =>
  group('request', 'certificate requests', [
    new Command('list')
      .description('list certificate requests, newest first')
      .option('--state <state>', 'only those in this state, such as outcome_unknown')
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
    new Command('show')
      .description('show one certificate request')
      .argument('<id>', 'the id of the request')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(show),
    ...approvalCommands(),
    ...byHandCommands(),
  ])
