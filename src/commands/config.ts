import { Command } from 'commander'
import { readTlsIdentity, TlsFilesUnusable } from '../adapters/tls-certificate.ts'
import { ConfigInvalid, readConfig, type Config } from '../config.ts'
import { settingDescriptions } from '../settings.ts'
import { group, jsonOption } from './options.ts'
import { answer, notInOrder, table, type OutputOptions } from './terminal.ts'

/** The settings, with a look into the files that they name. Rejects with `ConfigInvalid`. */
async function readSettings(): Promise<Config> {
  const config = readConfig(process.env, 'node')
  try {
    if (config.tls !== null) await readTlsIdentity(config.tls)
  } catch (error) {
    throw error instanceof TlsFilesUnusable ? new ConfigInvalid([error.message]) : error
  }
  return config
}

/** A setting's value as it may be shown; what is secret is only said to be there. */
const shownSettings = (config: Config): Record<string, unknown> => {
  const { dataKey, smtpUrl, mailHookToken, metricsToken, ...shown } = config
  const secrets = Object.entries({ dataKey, smtpUrl, mailHookToken, metricsToken })
  return { ...shown, ...Object.fromEntries(secrets.map(([name, value]) => [name, value === null ? null : '(set)'])) }
}

async function check(options: OutputOptions): Promise<void> {
  try {
    const shown = shownSettings(await readSettings())
    answer(options, { valid: true, config: shown }, () => [
      ...table(settingDescriptions.map(({ name, meaning }) => [name, meaning])),
      '',
      ...table(Object.entries(shown).map(([name, value]) => [name, JSON.stringify(value)])),
      '',
      'The configuration can be used.',
    ])
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error
    answer(options, { valid: false, faults: error.faults }, () => error.faults)
    notInOrder()
  }
}

export const configCommand = (): Command =>
  group('config', 'the settings', [
    new Command('check')
      .description('explain the settings, and say every fault at once')
      .addOption(jsonOption())
      .action(check),
  ])
