import { Command } from 'commander'
import { requestStanding, type RequestStanding } from '../api/ca-shapes.ts'
import { asAdministrator, type ServiceOptions } from './caller.ts'
import { jsonOption, urlOption } from './options.ts'
import { answer, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type RejectOptions = Options & { readonly reason: string }

const pathOf = (id: string, step: 'approval' | 'rejection'): string =>
  `/v1/admin/certificate-requests/${encodeURIComponent(id)}/${step}`

const described = ({ id, state, approvals: { needed, given } }: RequestStanding): string[] => [
  `The request ${id} is ${state}; ${given} of ${needed} approvals are given.`,
]

const approve = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const standing = await caller.ask(requestStanding, { method: 'POST', path: pathOf(id, 'approval') })
    answer(options, standing, () => described(standing))
  })

const reject = (id: string, options: RejectOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { reason } = options
    const standing = await caller.ask(requestStanding, {
      method: 'POST',
      path: pathOf(id, 'rejection'),
      body: { reason },
    })
    answer(options, standing, () => described(standing))
  })

/** What approvers do to requests. */
export const approvalCommands = (): readonly Command[] => [
  new Command('approve')
    .description('approve a request; with the last approval that its rule wants it goes to the CA')
    .argument('<id>', 'the id of the request')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(approve),
  new Command('reject')
    .description('reject a request, for good')
    .argument('<id>', 'the id of the request')
    .requiredOption('--reason <text>', 'why; the person whose request it is reads it')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(reject),
]
