import { Command } from 'commander'
import { dataKeyIn, openKeyRingIn, replaceDataKey, type ConfiguredKey } from '../adapters/data-directory.ts'
import type { MainSecretState } from '../adapters/main-secrets.ts'
import { commandConfig, readNamedText, requireData, withFiles } from './files.ts'
import { filesOnly, group, jsonOption } from './options.ts'
import { answer, CommandFailed, table, type OutputOptions } from './terminal.ts'

const timeOf = (since: number | null): string => (since === null ? '-' : new Date(since).toISOString())

const presented = ({ id, does, since }: MainSecretState) => ({
  id,
  does,
  since: since === null ? null : timeOf(since),
})

async function list(options: OutputOptions): Promise<void> {
  const config = commandConfig()
  const ring = await openKeyRingIn(requireData(config), config, { mayCreate: false })
  const secrets = ring.mainSecrets()
  const months = ring.months()
  answer(options, { main: secrets.map(presented), months }, () => [
    ...table([['secret', 'does', 'since'], ...secrets.map(({ id, does, since }) => [id, does, timeOf(since)])]),
    `months of the journal: ${months.join(', ')}`,
  ])
}

const rotateMain = (options: OutputOptions): Promise<void> =>
  withFiles(async ({ keys, service }) => {
    await service.noteKeyRotation('begun', 'main')
    const made = await keys.rotateMain()
    await service.noteKeyRotation('done', made.id)
    answer(options, presented(made), () => [
      `${made.id} is made. It seals and authenticates from ${timeOf(made.since)} on; until then a running service learns it.`,
      'The older ones stay: they open what they sealed, and addresses are still found under the first one.',
      'Take a backup now: a key ring that was copied before lacks the new secret.',
    ])
  })

/** What is left to do for whoever keeps the data key. */
const placeOf = ({ dataKey, dataKeyFile }: ConfiguredKey, folderFile: string): string => {
  if (dataKey !== null) return 'Set DATA_KEY to it, and start the service again before the month ends.'
  if (dataKeyFile === null) return `${folderFile} holds it. A running service finds it there within a minute.`
  return (
    `Put it into ${dataKeyFile} now. A running service finds it there within a minute; ` +
    'where systemd hands the file over, start the service again before the month ends.'
  )
}

async function rotateDataKey(file: string, options: OutputOptions): Promise<void> {
  const dataKey = dataKeyIn(await readNamedText(file))
  if (dataKey === null) {
    throw new CommandFailed(`${file} holds no data key: it must be 32 bytes in base64 (openssl rand -base64 32)`)
  }
  const config = commandConfig()
  // The files are opened before, with the key that opens no more afterwards.
  await withFiles(async ({ directory, service }) => {
    await service.noteKeyRotation('begun', 'data-key')
    const done = await replaceDataKey(directory, config, dataKey)
    if (done.replaced) await service.noteKeyRotation('done', 'data-key')
    answer(options, done, () => [
      done.replaced
        ? 'The key ring is wrapped with the new data key. The old one opens it no more.'
        : 'The key ring was wrapped with that data key already.',
      placeOf(config, directory.dataKeyFile),
      'Keep a copy of it elsewhere, and take a backup now: backups from before open with the old data key only.',
    ])
  })
}

const rotate = (options: OutputOptions & { dataKey?: string }): Promise<void> =>
  options.dataKey === undefined ? rotateMain(options) : rotateDataKey(options.dataKey, options)

export const keysCommand = (): Command =>
  group('keys', 'the key ring', [
    new Command('list')
      .description('which secrets the key ring has, and what they do')
      .addOption(filesOnly())
      .addOption(jsonOption())
      .action(list),
    new Command('rotate')
      .description('make a new main secret, or wrap the key ring with another DATA_KEY, while the service runs')
      .option('--data-key <file>', 'the new data key, 32 bytes in base64; - reads it from standard input')
      .addOption(filesOnly())
      .addOption(jsonOption())
      .action(rotate),
  ])
