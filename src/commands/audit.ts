import { Command } from 'commander'
import {
  auditCheckpointAnswer,
  auditLogEntry,
  auditVerificationAnswer,
  checkpointsAtOnce,
} from '../api/admin-shapes.ts'
import { pageOf } from '../api/shapes.ts'
import { notesOf, readCheckpoint } from '../pki/checkpoint.ts'
import { toHex } from '../pki/encoding.ts'
import type { TreeHead } from '../pki/merkle-tree.ts'
import {
  isNoteKeyName,
  makeNoteKey,
  openNote,
  openNoteKey,
  readVerifierKey,
  writeVerifierKey,
} from '../pki/signed-note.ts'
import { asAdministrator, withQuery, type Caller, type ServiceOptions } from './caller.ts'
import { readNamedFile } from './files.ts'
import { cursorOption, group, jsonOption, limitOption, urlOption } from './options.ts'
import { answer, answerPage, CommandFailed, notInOrder, type OutputOptions } from './terminal.ts'

type Options = OutputOptions & ServiceOptions

interface ListOptions extends Options {
  readonly action?: string
  readonly subject?: string
  readonly actor?: string
  readonly from?: string
  readonly to?: string
  readonly limit: number
  readonly cursor?: string
}

interface VerifyOptions extends Options {
  readonly head?: string
  readonly checkpoint?: string
  readonly verifierKey?: string
}

const askForCheckpoint = async (caller: Caller): Promise<{ verifierKey: string; checkpoint: string }> => {
  const { verifierKey, checkpoint } = await caller.ask(auditCheckpointAnswer, {
    method: 'GET',
    path: '/v1/admin/audit-log/checkpoint',
  })
  if (verifierKey !== null && checkpoint !== null) return { verifierKey, checkpoint }
  throw new CommandFailed('there is no note key yet: start the service once, or set AUDIT_NOTE_KEY')
}

/** The checkpoints of a file, and how many of its notes the key has not signed. */
async function readCheckpoints(path: string, verifierKey: string): Promise<{ heads: TreeHead[]; unsigned: number }> {
  const key = await readVerifierKey(crypto, verifierKey)
  if (key === null)
    throw new CommandFailed('that is no verifier key; it looks like keys.example.com/audit-log+0a1b2c3d+AZ…')
  const notes = notesOf(readNamedFile(path).toString('utf8'))
  if (notes.length === 0) throw new CommandFailed(`${path} holds no checkpoint; name a file of AUDIT_CHECKPOINTS`)
  if (notes.length > checkpointsAtOnce) {
    throw new CommandFailed(`${path} holds more than ${checkpointsAtOnce} checkpoints; verify it in parts`)
  }
  const read = await Promise.all(
    notes.map(async (note) => {
      const text = await openNote(crypto, key, note)
      return text === null ? null : readCheckpoint(key.name, text)
    }),
  )
  const heads = read.filter((head) => head !== null)
  return { heads, unsigned: read.length - heads.length }
}

const verify = (options: VerifyOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { head, checkpoint: file } = options
    const kept =
      file === undefined
        ? { heads: [], unsigned: 0 }
        : await readCheckpoints(file, options.verifierKey ?? (await askForCheckpoint(caller)).verifierKey)
    const checkpoints = kept.heads.map(({ size, root }) => `${size}:${toHex(root)}`).join(',')
    const path = withQuery('/v1/admin/audit-log/verification', {
      head,
      checkpoints: checkpoints === '' ? undefined : checkpoints,
    })
    const answered = await caller.ask(auditVerificationAnswer, { method: 'GET', path })
    const unsigned =
      kept.unsigned === 0 ? [] : [`${kept.unsigned} checkpoints of ${file} are not signed by the verifier key`]
    const found = { ...answered, checkpoints: kept.heads.length, faults: [...answered.faults, ...unsigned] }
    answer(options, found, () => [
      `${found.entries} entries, ${found.seals} seals, ${found.unsealed} not sealed yet`,
      `head ${found.head ?? '(none)'}`,
      ...(file === undefined ? [] : [`${found.checkpoints} checkpoints compared`]),
      ...found.faults.map((fault) => `FAULT ${fault}`),
      found.faults.length === 0 ? 'The log is whole.' : 'The log is NOT whole.',
    ])
    if (found.faults.length > 0) notInOrder()
  })

const checkpoint = (options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const signed = await askForCheckpoint(caller)
    answer(options, signed, () => signed.checkpoint.replace(/\n$/, '').split('\n'))
  })

const showVerifierKey = (options: Options): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { verifierKey } = await askForCheckpoint(caller)
    answer(options, { verifierKey }, () => [verifierKey])
  })

async function makeKey(name: string, options: OutputOptions): Promise<void> {
  if (!isNoteKeyName(name))
    throw new CommandFailed('a name has no spaces and no plus signs, such as keys.example.com/audit-log')
  const noteKey = await makeNoteKey(crypto, name)
  const verifierKey = writeVerifierKey((await openNoteKey(crypto, noteKey)).verifier)
  answer(options, { noteKey, verifierKey }, () => [
    `AUDIT_NOTE_KEY (secret)   ${noteKey}`,
    `verifier key              ${verifierKey}`,
  ])
}

const list = (options: ListOptions): Promise<void> =>
  asAdministrator(options, async (caller) => {
    const { action, subject, actor, from, to, limit, cursor } = options
    const path = withQuery('/v1/admin/audit-log', { action, subject, actor, from, to, limit: String(limit), cursor })
    const page = await caller.ask(pageOf(auditLogEntry), { method: 'GET', path })
    answerPage(options, page, (row) => [
      row.at,
      row.action,
      row.actor === null ? row.actorKind : `${row.actorKind} ${row.actor}`,
      `${row.subjectKind} ${row.subject}`,
      JSON.stringify(row.facts),
    ])
  })

export const auditCommand = (): Command =>
  group('audit', 'the audit log', [
    new Command('verify')
      .description('recompute the whole audit chain, and compare it with what was kept elsewhere')
      .option('--head <hash>', 'a head that you wrote down earlier; it must still be part of the chain')
      .option('--checkpoint <file>', 'signed checkpoints that were kept elsewhere; the log must still agree with all')
      .option('--verifier-key <key>', 'the key that must have signed them; without it, the one that the service names')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(verify),
    new Command('checkpoint')
      .description('sign the log as it is: a checkpoint to be kept elsewhere')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(checkpoint),
    new Command('verifier-key')
      .description('show the key that verifies checkpoints; note it down elsewhere')
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(showVerifierKey),
    new Command('note-key')
      .description('make a key for AUDIT_NOTE_KEY, such as for a service on Workers')
      .argument('<name>', 'its name, such as keys.example.com/audit-log')
      .addOption(jsonOption())
      .action(makeKey),
    new Command('list')
      .description(
        'list entries, newest first, with ids only; values that name a person are read over the API, with a reason',
      )
      .option('--action <action>', 'only this action, such as certificate.revoked')
      .option('--subject <id>', 'only what was done to this subject')
      .option('--actor <id>', 'only what this actor did')
      .option('--from <time>', 'since this time, such as 2026-11-01T00:00:00Z')
      .option('--to <time>', 'until this time')
      .addOption(limitOption())
      .addOption(cursorOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(list),
  ])
