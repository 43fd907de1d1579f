import { Command } from 'commander'
import { withFiles } from './files.ts'
import { filesOnly, jsonOption } from './options.ts'
import { answer, notInOrder, type OutputOptions } from './terminal.ts'

const check = (options: OutputOptions): Promise<void> =>
  withFiles(async ({ service }) => {
    const faults = await service.check()
    answer(options, { faults }, () => (faults.length === 0 ? ['The data are in order.'] : faults))
    if (faults.length > 0) notInOrder()
  })

/** `certbook check`. */
export const checkCommand = (): Command =>
  new Command('check')
    .description(
      'Check what must always hold, such as that nobody without the key ring has written a row that lets somebody in',
    )
    .addOption(filesOnly())
    .addOption(jsonOption())
    .action(check)
