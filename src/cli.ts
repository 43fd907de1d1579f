#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { holdsDatabase, KeyRingFile, openDataDirectory, readDataKey } from './adapters/data-directory.ts'
import { openKeyRing, sha256 } from './adapters/key-ring.ts'
import { openSqliteFile, Sqlite } from './adapters/sqlite.ts'
import { revocationReason } from './api/shapes.ts'
import { verifyAudit } from './audit/seals.ts'
import { ConfigInvalid, readConfig, settingDescriptions, type Config } from './config.ts'
import { openNodeService, serveNode, type NodeService } from './node.ts'
import { requireCurrentSchema } from './ports/schema.ts'

/** Exit codes: 0 done, 1 the thing asked about is not in order, 2 it could not be asked. */
const exitNotInOrder = 1
const exitFailed = 2

const say = (line: string): void => console.log(line)
const hint = (line: string): void => console.error(line)

const hints = (url: string, config: Config): string[] => [
  `certbook is serving at ${url}`,
  `  what it can do    ${url}/openapi.json`,
  `  the policy        ${url}/v1/policy`,
  `  is it ready       ${url}/readyz`,
  ...(config.smtpUrl === null && config.mailHookUrl === null
    ? [`  mail (development) ${config.dataDir}/outbox/*.eml`]
    : []),
  `  data and keys     ${config.dataDir}   (back up the folder; a lost key cannot be replaced)`,
  `  next              the story in curl in README.md, or: npm run demo`,
]

/**
 * Resolves to the first signal that asks the process to end. Listened for from the very start, so none is missed, and
 * to the end: a signal to the whole group comes twice, as npm passes it on, and the second one must not kill.
 */
const askedToEnd = (): Promise<string> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
  })

async function serve(): Promise<void> {
  const signal = askedToEnd()
  process.umask(0o077)
  const config = readConfig(process.env, 'node')
  const server = await serveNode(config)
  for (const line of hints(server.url, config)) hint(line)
  await server.stop(await signal)
  process.exit(0)
}

function configCheck(options: { json?: boolean }): void {
  try {
    const { dataKey, smtpUrl, mailHookToken, ...shown } = readConfig(process.env, 'node')
    const secrets = { dataKey, smtpUrl, mailHookToken }
    const hidden = Object.fromEntries(
      Object.entries(secrets).map(([name, value]) => [name, value === null ? null : '(set)']),
    )
    if (options.json === true) say(JSON.stringify({ valid: true, config: { ...shown, ...hidden } }, null, 2))
    else {
      for (const { name, meaning } of settingDescriptions) say(`${name.padEnd(20)} ${meaning}`)
      say('')
      for (const [name, value] of Object.entries({ ...shown, ...hidden }))
        say(`${name.padEnd(20)} ${JSON.stringify(value)}`)
      say('\nThe configuration can be used.')
    }
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error
    if (options.json === true) say(JSON.stringify({ valid: false, faults: error.faults }, null, 2))
    else for (const fault of error.faults) say(fault)
    process.exitCode = exitNotInOrder
  }
}

/** Opens the files beside a running service: reading takes no lock. */
async function auditVerify(options: { json?: boolean; head?: string }): Promise<void> {
  const config = readConfig(process.env, 'node')
  const directory = openDataDirectory(config.dataDir)
  if (!holdsDatabase(directory)) throw new Error(`there is no database in ${config.dataDir}`)
  const keys = await openKeyRing({
    dataKey: readDataKey(directory, config.dataKey),
    storage: new KeyRingFile(directory),
    mayCreate: false,
  })
  const database = new Sqlite(openSqliteFile(directory.mainFile, { readonly: true }))
  await requireCurrentSchema('main', database)
  const found = await verifyAudit({ database, keys, sha256, clock: Date.now }, options.head ?? null)
  if (options.json === true) say(JSON.stringify(found, null, 2))
  else {
    say(`${found.entries} entries, ${found.seals} seals, ${found.unsealed} not sealed yet`)
    say(`head ${found.head ?? '(none)'}`)
    for (const fault of found.faults) say(`FAULT ${fault}`)
    say(found.faults.length === 0 ? 'The log is whole.' : 'The log is NOT whole.')
  }
  if (found.faults.length > 0) process.exitCode = exitNotInOrder
}

/** Opens the service's files for one command, beside a service that may be running. */
async function withFiles(act: (node: NodeService) => Promise<void>): Promise<void> {
  const config = { ...readConfig(process.env, 'node'), logLevel: 'warn' as const }
  if (!holdsDatabase(openDataDirectory(config.dataDir))) throw new Error(`there is no database in ${config.dataDir}`)
  const node = await openNodeService(config, { beside: true, writeLog: hint })
  try {
    await act(node)
  } finally {
    await node.close()
  }
}

const revocationReasons = revocationReason.options

async function certificateRevoke(id: string, options: { reason: string; json?: boolean }): Promise<void> {
  const reason = revocationReason.parse(options.reason)
  await withFiles(async ({ service }) => {
    const state = await service.administration.revokeByAdministrator(id, reason === 'unspecified' ? null : reason)
    if (options.json === true) say(JSON.stringify({ certificate: id, state }))
    else if (state === null) say(`There is no certificate ${id}.`)
    else if (state === 'revoked')
      say(`The certificate is revoked: OCSP says so at once, the revocation list within five minutes.`)
    else say(`The certificate is ${state}: there is nothing to revoke.`)
    if (state !== 'revoked') process.exitCode = exitNotInOrder
  })
}

async function blocklistImport(file: string, options: { json?: boolean }): Promise<void> {
  const list = readFileSync(file, 'utf8')
  await withFiles(async ({ service }) => {
    const { imported, unreadable } = await service.administration.importBlocklist(list, (done, all) => {
      if (options.json !== true && all > 5_000) hint(`${done} of ${all}`)
    })
    if (options.json === true) say(JSON.stringify({ imported, unreadable }))
    else if (unreadable.length === 0) say(`${imported} keys are blocked.`)
    else say(`Nothing was imported. These lines are no fingerprint: ${unreadable.slice(0, 20).join(', ')}`)
    if (unreadable.length > 0) process.exitCode = exitNotInOrder
  })
}

const program = new Command('certbook')
  .description('The phone book for S/MIME: a certificate directory and key-registration service.')
  .showHelpAfterError()
program.command('serve').description('serve over HTTP; settings come from the environment').action(serve)
program
  .command('config')
  .description('the settings')
  .command('check')
  .description('explain the settings, and say every fault at once')
  .option('--json', 'as JSON')
  .action(configCheck)
program
  .command('audit')
  .description('the audit log')
  .command('verify')
  .description('recompute the whole audit chain')
  .option('--head <hash>', 'a head noted down earlier, which must still be part of the chain')
  .option('--json', 'as JSON')
  .action(auditVerify)
program
  .command('certificate')
  .description('certificates')
  .command('revoke')
  .argument('<id>', 'the id of the certificate')
  .description('revoke a certificate, for good')
  .addOption(new Option('--reason <reason>', 'why').choices(revocationReasons).default('unspecified'))
  .option('--json', 'as JSON')
  .action(certificateRevoke)
program
  .command('blocklist')
  .description('keys that must not be certified')
  .command('import')
  .argument('<file>', 'one fingerprint a line: SHA-256 of an SPKI (64 hex digits), or as Debian lists weak keys (20)')
  .description('block the keys of a list')
  .option('--json', 'as JSON')
  .action(blocklistImport)

try {
  await program.parseAsync()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = exitFailed
}
