import { Command, InvalidArgumentError, Option } from 'commander'
import { takeBackup, type TakenBackup } from '../adapters/backup.ts'
import { openKeyRingIn } from '../adapters/data-directory.ts'
import { readAuditHead } from '../audit/seals.ts'
import { commandConfig, requireData } from './files.ts'
import { filesOnly, jsonOption, progressOption } from './options.ts'
import { answer, createProgress, type ProgressOptions } from './terminal.ts'

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

const described = (taken: TakenBackup): string[] => [
  taken.path,
  `  ${Object.entries(taken.files)
    .map(([name, { bytes }]) => `${name} ${megabytes(bytes)}`)
    .join(', ')}`,
  `  audit head ${taken.auditHead ?? '(none)'}   (note it down elsewhere)`,
  ...taken.dropped.map((name) => `  dropped ${name}`),
  '  DATA_KEY is not in it; without that key it cannot be read.',
]

async function backup(folder: string, options: ProgressOptions & { keep?: number }): Promise<void> {
  const config = commandConfig()
  const directory = requireData(config)
  const keys = await openKeyRingIn(directory, config, { mayCreate: false })
  const progress = createProgress(options)
  const taken = await takeBackup({
    directory,
    keys,
    folder,
    clock: Date.now,
    keep: options.keep ?? null,
    auditHeadOf: readAuditHead,
    progress: (file, part) => progress(`copied ${file}`, part),
  })
  answer(options, taken, () => described(taken))
}

function parseKeep(value: string): number {
  const keep = Number(value)
  if (!Number.isInteger(keep) || keep < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return keep
}

export const backupCommand = (): Command =>
  new Command('backup')
    .description('copy journal, main database and key ring, while the service runs; DATA_KEY is not in it')
    .argument('<folder>', 'where backups are kept, outside DATA_DIR; each gets a folder named by its time')
    .addOption(new Option('--keep <number>', 'keep so many backups and delete the oldest').argParser(parseKeep))
    .addOption(filesOnly())
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(backup)
