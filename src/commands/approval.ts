import { Command } from 'commander'
import { decidedRequest, type DecidedRequest } from '../api/ca-shapes.ts'
import { asAdministrator, type ServiceOptions } from './caller.ts'
import { jsonOption, urlOption } from './options.ts'
import { answer, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions
type RejectOptions = Options & { readonly reason: string }

const pathOf = (id: string, step: 'approval' | 'rejection'): string =>
  `/v1/admin/certificate-requests/${encodeURIComponent(id)}/${step}`

const described = (decided: DecidedRequest, decision: 'approved' | 'rejected'): string[] => {
  const { id, state, approvals, repeated } = decided
  const standing = `The request ${id} is ${state}; ${approvals.given} of ${approvals.needed} approvals are given.`
  return [repeated ? `You have ${decision} it already. ${standing}` : standing]
}

const approve = (id: string, options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const decided = await caller.ask(decidedRequest, { method: 'POST', path: pathOf(id, 'approval') })
    answer(options, decided, () => described(decided, 'approved'))
  })

const reject = (id: string, options: RejectOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { reason } = options
    const decided = await caller.ask(decidedRequest, {
      method: 'POST',
      path: pathOf(id, 'rejection'),
      body: { reason },
    })
    answer(options, decided, () => described(decided, 'rejected'))
  })

/** The commands of approvers. */
export const approvalCommands = (): readonly Command[] => [
  new Command('approve')
    .description('approve a request; after the last approval that its rule asks for, it goes to the CA')
    .argument('<id>', 'the id of the request')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(approve),
  new Command('reject')
    .description('reject a request, for good')
    .argument('<id>', 'the id of the request')
    .requiredOption('--reason <text>', 'why; the person who made the request reads it')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(reject),
]
