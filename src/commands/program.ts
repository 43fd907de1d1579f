import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { adminCommand } from './admin.ts'
import { auditCommand } from './audit.ts'
import { backupCommand } from './backup.ts'
import { blocklistCommand } from './blocklist.ts'
import { caCommand } from './ca.ts'
import { certificateCommand } from './certificate.ts'
import { checkCommand } from './check.ts'
import { configCommand } from './config.ts'
import { connectionCommand } from './connection.ts'
import { keysCommand } from './keys.ts'
import { lookupCommand } from './lookup.ts'
import { queryLogCommand } from './query-log.ts'
import { requestCommand } from './request.ts'
import { restoreCommand } from './restore.ts'
import { revocationCommand } from './revocation.ts'
import { ruleCommand } from './rule.ts'
import { serveCommand } from './serve.ts'
import { subscriberCommand } from './subscriber.ts'
import { CommandFailed, exitCodes, hint } from './terminal.ts'

const exitCodeHelp = `
Exit codes: 0 done; 1 what was asked about is not in order, or is not there; 2 it could not be asked.`

const settingsHelp = `
Commands work on the files in DATA_DIR, beside a service that may be running, or with --url (CERTBOOK_URL) over HTTPS,
with the credential of an administrator in CERTBOOK_ADMIN_CREDENTIAL. A service on Workers has only the second way;
serve, config check, check, keys, backup and restore are for files alone. Settings come from the environment.`

/** Keeps the parser from ending the process, in every command. Adds the exit codes to every help text. */
function prepare(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help to see how it is used)').addHelpText('after', exitCodeHelp)
  for (const child of command.commands) prepare(child)
}

const packageShape = z.object({ version: z.string() })
const packageFile = new URL('../../package.json', import.meta.url)

/**
 * The command line of certbook. Its parser throws `CommanderError` for a wrong command line, and when help was asked
 * for.
 */
export function createProgram(): Command {
  const program = new Command('certbook')
    .description('The phone book for S/MIME: a certificate directory and key-registration service.')
    .version(packageShape.parse(JSON.parse(readFileSync(packageFile, 'utf8'))).version)
    .addHelpText('after', settingsHelp)
  for (const command of [
    serveCommand(),
    configCommand(),
    adminCommand(),
    subscriberCommand(),
    caCommand(),
    connectionCommand(),
    ruleCommand(),
    requestCommand(),
    certificateCommand(),
    revocationCommand(),
    blocklistCommand(),
    queryLogCommand(),
    auditCommand(),
    checkCommand(),
    keysCommand(),
    lookupCommand(),
    backupCommand(),
    restoreCommand(),
  ]) {
    program.addCommand(command)
  }
  prepare(program)
  return program
}

/**
 * Runs one command line, given without the program's name. Leaves the exit code in `process.exitCode`, and says an
 * error in one sentence on standard error.
 */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // The parser has already printed the help, or what is wrong with the command line.
      process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.failed
    } else {
      hint(error instanceof Error ? error.message : 'certbook failed without saying why; run it again')
      process.exitCode = error instanceof CommandFailed ? error.exitCode : exitCodes.failed
    }
  }
}
