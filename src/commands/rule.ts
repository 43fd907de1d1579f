import { Command, InvalidArgumentError, Option } from 'commander'
import {
  caConnectionAnswer,
  keyAlgorithm,
  lastPosition,
  routingAnswer,
  routingRule,
  type RoutingRule,
} from '../api/ca-shapes.ts'
import { accountType, certificateUse, pageOf } from '../api/shapes.ts'
import { asAdministrator, withQuery, type Caller, type ServiceOptions } from './caller.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { answer, answerPage, CommandFailed, notInOrder, table, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type ListOptions = Options & { readonly limit: number; readonly cursor?: string }
type RuleOptions = Options & {
  readonly position: number
  readonly domain?: string
  readonly accountType?: string
  readonly use?: string
  readonly algorithm?: string
  readonly connection?: string
  readonly refuse?: boolean
  readonly profile?: string
  readonly approvals: number
}
type TrialOptions = Options & {
  readonly use: string
  readonly algorithm: string
  readonly accountType: string
  readonly publicKey?: boolean
}

const rules = '/v1/admin/routing-rules'

type Names = ReadonlyMap<string, string>

/** The names of the CA connections, by id. */
async function readNames(caller: Caller): Promise<Names> {
  const names = new Map<string, string>()
  let cursor: string | undefined
  do {
    const path = withQuery('/v1/admin/ca-connections', { limit: '200', cursor })
    const page = await caller.ask(pageOf(caConnectionAnswer), { method: 'GET', path })
    for (const { id, name } of page.items) names.set(id, name)
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return names
}

/** What a rule matches, and what it does then. */
const described = (rule: RoutingRule, names: Names): string[] => [
  rule.id,
  String(rule.position),
  rule.domain ?? 'every domain',
  rule.accountType ?? 'every account',
  rule.use ?? 'every use',
  rule.algorithm ?? 'every key',
  rule.connectionId === null ? 'no certificate' : `to ${names.get(rule.connectionId) ?? rule.connectionId}`,
  rule.profile ?? '',
  rule.approvals === 0 ? '' : `${rule.approvals} to approve`,
]

const list = (options: ListOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = withQuery(rules, { limit: String(options.limit), cursor: options.cursor })
    const page = await caller.ask(pageOf(routingRule), { method: 'GET', path })
    const names = await readNames(caller)
    answerPage(options, page, (rule) => described(rule, names))
  })

const bodyOf = (options: RuleOptions) => {
  const { position, domain, use, algorithm, connection, refuse, profile, approvals } = options
  if ((connection === undefined) === (refuse !== true)) {
    throw new CommandFailed('say where what the rule catches goes: --connection ID, or --refuse')
  }
  return {
    position,
    domain: domain ?? null,
    accountType: options.accountType ?? null,
    use: use ?? null,
    algorithm: algorithm ?? null,
    connectionId: connection ?? null,
    profile: profile ?? null,
    approvals,
  }
}

const add = (options: RuleOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const made = await caller.ask(routingRule, { method: 'POST', path: rules, body: bodyOf(options) })
    const names = await readNames(caller)
    answer(options, made, () => table([described(made, names)]))
  })

const change = (id: string, options: RuleOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const call = { method: 'PUT', path: `${rules}/${encodeURIComponent(id)}`, body: bodyOf(options) } as const
    const changed = await caller.ask(routingRule, call)
    const names = await readNames(caller)
    answer(options, changed, () => table([described(changed, names)]))
  })

const remove = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    await caller.tell({ method: 'DELETE', path: `${rules}/${encodeURIComponent(id)}` })
    answer(options, { id, state: 'removed' }, () => ['The rule is removed; what it caught before goes on as it said.'])
  })

const attempt = (address: string, options: TrialOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { use, algorithm, publicKey = false } = options
    const body = { address, use, algorithm, accountType: options.accountType, publicKey }
    const found = await caller.ask(routingAnswer, { method: 'POST', path: `${rules}/trial`, body })
    answer(options, found, () => [
      found.rule === null ? 'No rule fits.' : `Rule ${found.rule.id}, at position ${found.rule.position}.`,
      found.outcome === 'refused'
        ? `Refused: ${found.code}.`
        : `To ${found.connectionName} (${found.connectionState}), ${found.approvals} to approve.`,
    ])
    if (found.outcome === 'refused') notInOrder()
  })

const wholeNumber =
  (least: number, most: number) =>
  (value: string): number => {
    const number = Number(value)
    if (Number.isInteger(number) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`It must be from ${least} to ${most}.`)
  }

const useOption = (needed = ''): Option =>
  new Option('--use <use>', `what the key is for${needed}`).choices(certificateUse.options)
const algorithmOption = (needed = ''): Option =>
  new Option('--algorithm <kind>', `the kind of key${needed}`).choices(keyAlgorithm.options)
const accountTypeOption = (): Option =>
  new Option('--account-type <type>', 'the account of the mailbox').choices(accountType.options)

const withRule = (command: Command): Command =>
  command
    .addOption(
      new Option('--position <number>', 'the first rule by position that fits decides; required')
        .argParser(wholeNumber(1, lastPosition))
        .makeOptionMandatory(),
    )
    .addOption(new Option('--domain <domain>', 'example.com alone, or *.example.com for the domains below it'))
    .addOption(accountTypeOption())
    .addOption(useOption())
    .addOption(algorithmOption())
    .addOption(new Option('--connection <id>', 'the CA; embedded is the one inside').conflicts('refuse'))
    .addOption(new Option('--refuse', 'requests that it catches get no certificate'))
    .addOption(new Option('--profile <name>', "the CA's own profile"))
    .addOption(
      new Option('--approvals <number>', 'how many persons must approve, 0 to 2')
        .argParser(wholeNumber(0, 2))
        .default(0),
    )
    .addOption(urlOption())
    .addOption(jsonOption())

export const ruleCommand = (): Command =>
  group('rule', 'which requests go to which CA, and which must be approved', [
    new Command('list')
      .description('list the routing rules in the order in which they are tried')
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
    withRule(new Command('add').description('make a rule; a condition that is left out fits everything')).action(add),
    withRule(
      new Command('change')
        .description('replace a rule; a condition that is left out fits everything')
        .argument('<id>', 'the id of the rule'),
    ).action(change),
    new Command('remove')
      .description('remove a rule')
      .argument('<id>', 'the id of the rule')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(remove),
    new Command('try')
      .description('show which rule would catch a request; the mailbox need not exist')
      .argument('<address>', 'the address of a mailbox')
      .addOption(useOption('; required').makeOptionMandatory())
      .addOption(algorithmOption('; required').makeOptionMandatory())
      .addOption(accountTypeOption().default('imap'))
      .option('--public-key', 'as if the device sent a bare public key')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(attempt),
  ])
