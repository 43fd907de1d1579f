import { Command, InvalidArgumentError, Option } from 'commander'
import {
  administratorAnswer,
  administratorCredential,
  administratorRole,
  type AdministratorAnswer,
  type AdministratorCredential,
  type AdministratorRole,
} from '../api/admin-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { asAdministrator, overHttp, withQuery, type ServiceOptions } from './caller.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { answer, answerPage, hint, table, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type PageOptions = Options & { readonly limit: number; readonly cursor?: string }

const administrators = '/v1/admin/administrators'
const administrator = (id: string): string => `${administrators}/${encodeURIComponent(id)}`

/** Shows a credential once. It stands alone on standard output, so it can be piped to where it is kept. */
function showCredential(options: OutputOptions, made: AdministratorCredential): void {
  if (options.json !== true) {
    hint(`Administrator ${made.id} (${made.roles.join(', ')}). The credential is shown this once:`)
  }
  answer(options, made, () => [made.credential])
}

const described = (row: AdministratorAnswer): string[] => [
  row.id,
  row.state,
  row.roles.join(','),
  row.lastSeenAt.slice(0, 10),
  row.name ?? '(name dropped)',
]

function parseRoles(value: string, before: readonly AdministratorRole[] | undefined): AdministratorRole[] {
  const roles = administratorRole.array().safeParse(value.split(',').map((role) => role.trim()))
  if (!roles.success) throw new InvalidArgumentError(`Allowed roles are ${administratorRole.options.join(', ')}.`)
  return [...(before ?? []), ...roles.data]
}

const rolesOption = (): Option =>
  new Option('--role, --roles <roles>', `one or more of ${administratorRole.options.join(', ')}, separated by commas`)
    .argParser(parseRoles)
    .makeOptionMandatory()

const create = (options: Options & { name: string; roles: AdministratorRole[] }): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const body = { name: options.name, roles: options.roles }
    showCredential(options, await caller.ask(administratorCredential, { method: 'POST', path: administrators, body }))
  })

const nobodyYet = 'There is no administrator yet: certbook admin create'

const list = (options: PageOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = withQuery(administrators, { limit: String(options.limit), cursor: options.cursor })
    const page = await caller.ask(pageOf(administratorAnswer), { method: 'GET', path })
    if (page.items.length > 0) answerPage(options, page, described)
    else answer(options, page, () => [options.cursor === undefined ? nobodyYet : 'There are no more administrators.'])
  })

const changeRoles = (id: string, options: Options & { roles: AdministratorRole[] }): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const call = { method: 'PATCH', path: administrator(id), body: { roles: options.roles } } as const
    const changed = await caller.ask(administratorAnswer, call)
    answer(options, changed, () => table([described(changed)]))
  })

const renewCredential = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = `${administrator(id)}/credential`
    showCredential(options, await caller.ask(administratorCredential, { method: 'POST', path }))
  })

const remove = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    await caller.tell({ method: 'DELETE', path: administrator(id) })
    answer(options, { id, state: 'ended' }, () => ['The administrator is ended; the credential works no more.'])
  })

async function bootstrap(options: Options & { name: string }): Promise<void> {
  const what = 'the secret whose SHA-256 is ADMIN_BOOTSTRAP_SHA256 in the service'
  const caller = overHttp(options, { setting: 'CERTBOOK_BOOTSTRAP_SECRET', what })
  const call = { method: 'POST', path: '/v1/admin/bootstrap', body: { name: options.name } } as const
  showCredential(options, await caller.ask(administratorCredential, call))
}

const nameOption = (): Option => new Option('--name <name>', 'who it is').makeOptionMandatory()

export const adminCommand = (): Command =>
  group('admin', 'administrators and their credentials', [
    new Command('create')
      .description('make an administrator; the credential goes to standard output, once')
      .addOption(nameOption())
      .addOption(rolesOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(create),
    new Command('list')
      .description('list administrators, newest first, ended ones too')
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
    new Command('roles')
      .description('give an administrator other roles')
      .argument('<id>', 'the id of the administrator')
      .addOption(rolesOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(changeRoles),
    new Command('credential')
      .description('make a new credential for an administrator who lost it; the old one stops working')
      .argument('<id>', 'the id of the administrator')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(renewCredential),
    new Command('remove')
      .description('end an administrator and the credentials, at once')
      .argument('<id>', 'the id of the administrator')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(remove),
    new Command('bootstrap')
      .description('make the first administrator of a service on Workers, with CERTBOOK_BOOTSTRAP_SECRET')
      .addOption(nameOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(bootstrap),
  ])
