import { Command } from 'commander'
import { blocklistImportAnswer } from '../api/admin-shapes.ts'
import { asAdministrator, type ServiceOptions } from './caller.ts'
import { readNamedFile } from './files.ts'
import { group, jsonOption, progressOption, urlOption } from './options.ts'
import { answer, createProgress, notInOrder, type ProgressOptions } from './terminal.ts'

const fingerprintsPerCall = 2_000

/** The fingerprints of a list, each once, and how many lines could not be read. `#` begins a comment. */
function readList(list: string): { fingerprints: string[]; unreadable: number[] } {
  const lines = list.split('\n').map((line) => line.replace(/#.*/, '').trim().toLowerCase())
  const isFingerprint = (line: string): boolean => /^(?:[0-9a-f]{64}|[0-9a-f]{20})$/.test(line)
  return {
    fingerprints: [...new Set(lines.filter((line) => line !== ''))],
    unreadable: lines.flatMap((line, index) => (line === '' || isFingerprint(line) ? [] : [index + 1])),
  }
}

/** Imports a list. If one line cannot be read, imports nothing: the file may be of another kind. */
async function importList(file: string, options: ProgressOptions & ServiceOptions): Promise<void> {
  const { fingerprints, unreadable } = readList(readNamedFile(file).toString('utf8'))
  if (unreadable.length > 0) {
    answer(options, { imported: 0, unreadable }, () => [
      `Nothing was imported. These lines are no fingerprint: ${unreadable.slice(0, 20).join(', ')}`,
    ])
    notInOrder()
    return
  }
  const progress = createProgress(options)
  let newlyBlocked = 0
  await asAdministrator(options, async (caller) => {
    for (let start = 0; start < fingerprints.length; start += fingerprintsPerCall) {
      const body = { fingerprints: fingerprints.slice(start, start + fingerprintsPerCall) }
      const call = { method: 'POST', path: '/v1/admin/blocklist/imports', body } as const
      newlyBlocked += (await caller.ask(blocklistImportAnswer, call)).blocked
      progress('imported', Math.min(1, (start + fingerprintsPerCall) / fingerprints.length))
    }
  })
  const imported = fingerprints.length
  answer(options, { imported, newlyBlocked, unreadable }, () => [
    `${imported} ${imported === 1 ? 'key' : 'keys'}: ${newlyBlocked} newly blocked, ${imported - newlyBlocked} blocked before.`,
  ])
}

export const blocklistCommand = (): Command =>
  group('blocklist', 'keys that must not be certified', [
    new Command('import')
      .description('block the keys of a list')
      .argument(
        '<file>',
        'one fingerprint a line: SHA-256 of an SPKI (64 hex digits), or as Debian lists weak keys (20)',
      )
      .addOption(progressOption())
      .addOption(urlOption())
      .addOption(jsonOption())
      .action(importList),
  ])
