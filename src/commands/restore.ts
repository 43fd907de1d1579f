import { existsSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { backupTime, BackupUnusable } from '../adapters/backup-folder.ts'
import { chooseBackup, stageBackup, syncStaged, type StagedBackup } from '../adapters/backup-restore.ts'
import { openSamples, type OpenedSamples } from '../adapters/backup-samples.ts'
import { holdsData, settleRestore, stagingPath, swapIn } from '../adapters/backup-swap.ts'
import { findDataKey, lockDataDirectory, openDataDirectory, type DataDirectory } from '../adapters/data-directory.ts'
import { openSqliteFile, Sqlite } from '../adapters/sqlite.ts'
import { readAuditHead } from '../audit/seals.ts'
import { openNodeService, type NodeService } from '../node.ts'
import { commandConfig, readNamedFile } from './files.ts'
import { filesOnly, jsonOption, progressOption } from './options.ts'
import { answer, CommandFailed, createProgress, hint, type ProgressOptions } from './terminal.ts'

interface RestoreOptions extends ProgressOptions {
  readonly at?: string
  readonly to?: string
  readonly head?: string
  readonly crl?: string
  readonly replace?: boolean
}

/** What a restore proved, and what it did. */
interface Restored {
  readonly backup: string
  readonly takenAt: string
  readonly dataDir: string
  readonly migrations: readonly string[]
  readonly sealedColumns: readonly string[]
  readonly valuesOpened: number
  readonly valuesShredded: number
  readonly auditEntries: number
  readonly auditHead: string | null
  readonly mailsGivenUp: number
  /**
   * The result of --crl: how many certificates were revoked again, and how many serial numbers are unknown. Null
   * without --crl.
   */
  readonly revocations: { readonly revoked: number; readonly unknown: number } | null
  /** The folder that keeps the old files. Null if there were none. */
  readonly keptAside: string | null
}

type Progress = (what: string, part: number) => void

/** What was kept outside of the backup, and is compared with it. */
interface Outside {
  readonly head: string | null
  readonly revocationList: Uint8Array | null
}

/** Opens samples of the sealed values of both databases. */
function openSealed({ directory }: StagedBackup, node: NodeService): OpenedSamples {
  const opened: OpenedSamples[] = []
  for (const file of [directory.mainFile, directory.journalFile]) {
    const connection = openSqliteFile(file, { readonly: true })
    try {
      opened.push(openSamples(connection, node.keys))
    } finally {
      connection.close()
    }
  }
  return {
    columns: opened.flatMap(({ columns }) => columns),
    opened: opened.reduce((sum, part) => sum + part.opened, 0),
    shredded: opened.reduce((sum, part) => sum + part.shredded, 0),
  }
}

async function requireInOrder(staged: StagedBackup, node: NodeService, head: string | null): Promise<number> {
  const verified = await node.service.verifyAudit(staged.manifest.auditHead)
  const elsewhere = head === null ? verified : await node.service.verifyAudit(head)
  const [fault] = [...verified.faults, ...elsewhere.faults, ...(await node.service.check())]
  if (fault !== undefined) throw new BackupUnusable(`the backup is not in order (${fault}); choose another backup`)
  return verified.entries
}

/**
 * Opens the service over the staged copies twice. First with the time of the backup, to prove the copies. Then with the
 * present time, so that the service does not repeat or undo what has happened since.
 */
async function proveAndBringForward(staged: StagedBackup, dataKey: Uint8Array, outside: Outside, progress: Progress) {
  let clock = (): number => backupTime(staged.manifest.at)
  const node = await openNodeService(
    { ...commandConfig(), dataDir: staged.directory.path, dataKey },
    { leaveOutgoing: true, writeLog: hint, clock: () => clock() },
  )
  try {
    const samples = openSealed(staged, node)
    progress('opened sealed values', 1)
    const auditEntries = await requireInOrder(staged, node, outside.head)
    progress('checked invariants and audit log', 1)
    clock = Date.now
    const { mailsGivenUp, revocations } = await node.service.afterRestore(staged.name, outside.revocationList)
    for (const job of node.service.jobs) if (job.cron === '17 3 * * *') await job.run()
    await node.settled()
    const { head: auditHead, faults } = await node.service.verifyAudit(staged.manifest.auditHead)
    if (faults.length > 0) throw new BackupUnusable(`the audit log cannot be continued (${faults[0]})`)
    return { samples, auditEntries, auditHead, mailsGivenUp, revocations }
  } finally {
    await node.close()
  }
}

/** Checks that the folder holds what was proved on the staged copies, before it is reported as restored. */
async function requireInPlace(directory: DataDirectory, auditHead: string | null): Promise<void> {
  const wrong = new CommandFailed(`${directory.path} does not hold what was restored; look into it and restore again`)
  if (!existsSync(directory.mainFile)) throw wrong
  const main = new Sqlite(openSqliteFile(directory.mainFile))
  try {
    if ((await readAuditHead(main)) !== auditHead) throw wrong
  } finally {
    main.close()
  }
}

async function restoreInto(directory: DataDirectory, folder: string, options: RestoreOptions): Promise<Restored> {
  if (settleRestore(directory)) hint('An earlier restore, which had been interrupted, was finished first.')
  const occupied = holdsData(directory)
  if (occupied && options.replace !== true) {
    throw new CommandFailed(`${directory.path} holds data; name an empty folder with --to, or add --replace`)
  }
  const dataKey = findDataKey(directory, commandConfig())
  if (dataKey === null) {
    throw new CommandFailed(
      `DATA_KEY is not set, nor DATA_KEY_FILE, and there is no ${directory.dataKeyFile}; put back the key that was in use when the backup was taken`,
    )
  }
  const outside = {
    head: options.head ?? null,
    revocationList: options.crl === undefined ? null : new Uint8Array(readNamedFile(options.crl)),
  }
  const name = chooseBackup(folder, options.at ?? null)
  const staging = stagingPath(directory, Date.now())
  const progress = createProgress(options)
  try {
    const staged = await stageBackup({ folder, name, staging, dataKey, progress })
    const proved = await proveAndBringForward(staged, dataKey, outside, progress)
    syncStaged(staged.directory)
    const aside = occupied ? `replaced-${Date.now()}` : null
    swapIn(directory, staging, aside)
    await requireInPlace(directory, proved.auditHead)
    return {
      backup: name,
      takenAt: staged.manifest.at,
      dataDir: directory.path,
      migrations: staged.pending,
      sealedColumns: proved.samples.columns,
      valuesOpened: proved.samples.opened,
      valuesShredded: proved.samples.shredded,
      auditEntries: proved.auditEntries,
      auditHead: proved.auditHead,
      mailsGivenUp: proved.mailsGivenUp,
      revocations: proved.revocations,
      keptAside: aside,
    }
  } catch (error) {
    rmSync(staging, { recursive: true, force: true })
    throw error
  }
}

const described = (restored: Restored): string[] => [
  `The backup of ${restored.takenAt} is restored to ${restored.dataDir}. Proved:`,
  '  both databases are what the manifest says (SHA-256), and sound (integrity_check)',
  '  the manifest was made with this key ring, and DATA_KEY opens the ring',
  `  ${restored.valuesOpened} sealed values of ${restored.sealedColumns.length} kinds open`,
  `  all invariants hold, and the audit log is whole (${restored.auditEntries} entries)`,
  ...(restored.migrations.length === 0 ? [] : [`Migrated: ${restored.migrations.join(', ')}`]),
  'Done besides:',
  `  ${restored.mailsGivenUp} queued mails were given up: nobody knows which of them were sent`,
  '  revocation lists were issued anew, with higher numbers; what is past its time was deleted',
  ...(restored.keptAside === null
    ? []
    : [`  the old files are in ${restored.dataDir}/${restored.keptAside}; delete them when you need them no more`]),
  ...(restored.revocations === null
    ? []
    : [
        `  ${restored.revocations.revoked} certificates were revoked again, and ${restored.revocations.unknown} that are not known here`,
      ]),
  'What happened after the backup is not in it. Now, before you serve:',
  '  revoke again what was revoked since, withdraw what was withdrawn, end devices and administrators that were ended',
  '  (the service log since then names them: docs/backup.md)',
  `New audit head ${restored.auditHead ?? '(none)'}: note it down; heads from after the backup do not fit any more.`,
]

async function restore(folder: string, options: RestoreOptions): Promise<void> {
  if (options.to === '') throw new CommandFailed('--to is empty; name the folder to restore into')
  const directory = openDataDirectory(resolve(options.to ?? commandConfig().dataDir))
  const lock = lockDataDirectory(directory)
  try {
    const restored = await restoreInto(directory, folder, options)
    answer(options, restored, () => described(restored))
  } finally {
    lock.release()
  }
}

export const restoreCommand = (): Command =>
  new Command('restore')
    .description('restore a backup after checking it; needs DATA_KEY; stop the service first')
    .argument('<folder>', 'the folder that certbook backup was given')
    .option('--at <time>', 'the newest backup taken at or before this time, such as 2026-11-22T08:30:00Z, or its name')
    .option('--to <folder>', 'instead of DATA_DIR')
    .option('--head <hash>', 'an audit head that you wrote down elsewhere; it must be part of the log')
    .option('--crl <file>', 'the newest revocation list of the issuing CA, in DER: what it names is revoked again')
    .option('--replace', 'if the folder holds data, move the old files into a folder in it')
    .addOption(filesOnly())
    .addOption(progressOption())
    .addOption(jsonOption())
    .action(restore)
