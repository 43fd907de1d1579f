import { readFileSync } from 'node:fs'
import { text as wholeText } from 'node:stream/consumers'
import { isHalfRestored } from '../adapters/backup-swap.ts'
import { dataDirectoryAt, holdsDatabase, type DataDirectory } from '../adapters/data-directory.ts'
import { readConfig, type Config } from '../config.ts'
import { openNodeService, type NodeService } from '../node.ts'
import { findPrivateKey } from '../pki/private-keys/detect.ts'
import { CommandFailed, exitCodes, hint, systemCode } from './terminal.ts'

/** The settings of the environment, with a quiet log. Commands report their errors themselves. */
export const commandConfig = (): Config => ({ ...readConfig(process.env, 'node'), logLevel: 'error' })

/** The service's folder, if it holds data that belong together. Throws `CommandFailed`. */
export function requireData(config: Config): DataDirectory {
  const directory = dataDirectoryAt(config.dataDir)
  if (isHalfRestored(directory)) {
    throw new CommandFailed(
      `a restore to ${directory.path} was interrupted while it put its files in place; certbook serve finishes it`,
    )
  }
  if (holdsDatabase(directory)) return directory
  throw new CommandFailed(
    `there is no database in ${directory.path}; set DATA_DIR to the folder of the service, or --url to its address`,
  )
}

/** Reads a file that was named on the command line. Throws `CommandFailed`. */
export function readNamedFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    const code = systemCode(cause) ?? 'unknown'
    const why = code === 'ENOENT' ? 'there is no file' : 'cannot read'
    throw new CommandFailed(`${why} ${path} (${code}); name another`, exitCodes.failed, { cause })
  }
}

/** Reads the text of a named file, or standard input for the name `-`. Throws `CommandFailed`. */
export const readNamedText = async (path: string): Promise<string> =>
  path === '-' ? wholeText(process.stdin) : readNamedFile(path).toString('utf8')

/**
 * Reads a file of certificates. Refuses a file with a private key, so that the key never leaves this machine: the
 * service would treat it as disclosed. Throws `CommandFailed`.
 */
export function readCertificateFile(path: string): Buffer {
  const content = readNamedFile(path)
  if (findPrivateKey(content) === null) return content
  throw new CommandFailed(
    `${path} holds a private key, and was not sent: name a file that holds certificates and nothing else`,
  )
}

/** Opens the service's files for one command. A service may be running beside it. */
export async function withFiles<T>(act: (node: NodeService) => Promise<T>): Promise<T> {
  const config = commandConfig()
  requireData(config)
  const node = await openNodeService(config, { beside: true, leaveOutgoing: true, writeLog: hint })
  try {
    return await act(node)
  } finally {
    await node.close()
  }
}
