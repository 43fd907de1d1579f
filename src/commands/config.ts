import { Command } from 'commander'
import { CheckpointFolderUnusable, requireOutsideData } from '../adapters/checkpoint-folder.ts'
import { readDataKeyFile } from '../adapters/data-directory.ts'
import { KeyRingUnusable } from '../adapters/key-ring.ts'
import { readTlsIdentity, TlsFilesUnusable } from '../adapters/tls-certificate.ts'
import { ConfigInvalid, readConfig, type Config } from '../config.ts'
import { settingDescriptions } from '../settings.ts'
import { group, jsonOption } from './options.ts'
import { answer, notInOrder, table, type OutputOptions } from './terminal.ts'

/** The faults of the file that holds the data key. */
function keyFileFaults(): string[] {
  const { DATA_KEY_FILE: file = '' } = process.env
  if (file === '') return []
  try {
    readDataKeyFile(file)
    return []
  } catch (error) {
    if (error instanceof KeyRingUnusable) return [`DATA_KEY_FILE: ${error.message}`]
    throw error
  }
}

/** The faults of the folder for checkpoints. */
function checkpointFaults(): string[] {
  const { AUDIT_CHECKPOINTS: folder = '', DATA_DIR: dataDir = '' } = process.env
  if (folder === '') return []
  try {
    requireOutsideData(folder, dataDir === '' ? './data' : dataDir)
    return []
  } catch (error) {
    if (error instanceof CheckpointFolderUnusable) return [error.message]
    throw error
  }
}

/** The faults of the files of TLS. */
async function tlsFileFaults(): Promise<string[]> {
  const { TLS_CERT_FILE: certificateFile = '', TLS_KEY_FILE: keyFile = '' } = process.env
  if (certificateFile === '' || keyFile === '') return []
  try {
    await readTlsIdentity({ certificateFile, keyFile })
    return []
  } catch (error) {
    if (error instanceof TlsFilesUnusable) return [error.message]
    throw error
  }
}

/** The settings, or all faults of the settings and of the files that they name. */
async function readSettings(): Promise<Config | { faults: readonly string[] }> {
  const faults = [...keyFileFaults(), ...checkpointFaults(), ...(await tlsFileFaults())]
  try {
    const config = readConfig(process.env, 'node')
    return faults.length === 0 ? config : { faults }
  } catch (error) {
    if (error instanceof ConfigInvalid) return { faults: [...error.faults, ...faults] }
    throw error
  }
}

/** The value of a setting as a person would write it. A secret is only said to be set. */
const inForce = ({ name, byDefault, secret }: (typeof settingDescriptions)[number], config: Config): string => {
  const given = process.env[name] ?? ''
  if (name === 'PUBLIC_URL') return config.publicUrl
  if (name === 'PKI_URL') return config.pkiUrl
  if (given === '') return byDefault ?? '-'
  return secret ? '(set)' : given
}

/** The values of all settings. A secret is only said to be set. */
const shownSettings = (config: Config): Record<string, unknown> => {
  const { dataKey, dataKeyPrevious, auditNoteKey, smtpUrl, mailHookToken, metricsToken, ...shown } = config
  const secrets = Object.entries({
    dataKey,
    dataKeyPrevious,
    auditNoteKey,
    smtpUrl,
    mailHookToken,
    metricsToken,
  })
  return { ...shown, ...Object.fromEntries(secrets.map(([name, value]) => [name, value === null ? null : '(set)'])) }
}

async function check(options: OutputOptions): Promise<void> {
  const read = await readSettings()
  if ('faults' in read) {
    answer(options, { valid: false, faults: read.faults }, () => read.faults)
    notInOrder()
    return
  }
  answer(options, { valid: true, config: shownSettings(read) }, () => [
    ...table([
      ['setting', 'value in force', 'meaning'],
      ...settingDescriptions.map((setting) => [setting.name, inForce(setting, read), setting.meaning]),
    ]),
    '',
    'The configuration can be used.',
  ])
}

export const configCommand = (): Command =>
  group('config', 'the settings', [
    new Command('check')
      .description('explain the settings, and report all their faults')
      .addOption(jsonOption())
      .action(check),
  ])
