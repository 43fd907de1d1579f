import { Command } from 'commander'
import { subscriberReading, type SubscriberReading } from '../api/admin-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { asAdministrator, type ServiceOptions } from './caller.ts'
import { group, jsonOption, reasonOption, urlOption } from './options.ts'
import { answer, CommandFailed, notInOrder, readLines, table, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions & { readonly reason: string }

const described = (found: SubscriberReading): string[] => [
  `subscriber ${found.id}, since ${found.createdAt.slice(0, 10)}${found.restricted ? ', restricted' : ''}`,
  ...table([
    ...found.mailboxes.map((row) => ['mailbox', row.id, row.state, row.address]),
    ...found.devices.map((row) => [
      'device',
      row.id,
      row.state,
      `${row.deviceType}, seen ${row.lastSeenAt.slice(0, 10)}`,
    ]),
    ...found.certificates.map((row) => [
      'certificate',
      row.id,
      row.state,
      `${row.use}, until ${row.notAfter.slice(0, 10)}${row.published ? ', published' : ''}`,
    ]),
  ]),
]

async function find(options: Options): Promise<void> {
  const [address, second] = await readLines('Address: ')
  if (address === undefined || second !== undefined) {
    throw new CommandFailed(
      'give one address on standard input, as in: certbook subscriber find --reason … < address.txt',
    )
  }
  await asAdministrator(options, async (caller) => {
    const body = { address, reason: options.reason }
    const call = { method: 'POST', path: '/v1/admin/subscribers/search', body } as const
    const page = await caller.ask(pageOf(subscriberReading), call)
    answer(options, page, () => page.items.flatMap(described))
    if (page.items.length === 0) notInOrder()
  })
}

const show = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const path = `/v1/admin/subscribers/${encodeURIComponent(id)}/reading`
    const found = await caller.ask(subscriberReading, { method: 'POST', path, body: { reason: options.reason } })
    answer(options, found, () => described(found))
  })

export const subscriberCommand = (): Command =>
  group('subscriber', 'subscribers, looked at with a reason', [
    new Command('find')
      .description('find a subscriber by an address, read from standard input: others can see a command line')
      .addOption(reasonOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(find),
    new Command('show')
      .description('show a subscriber')
      .argument('<id>', 'the id of the subscriber')
      .addOption(reasonOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(show),
  ])
