import assert from 'node:assert/strict'
import { cp, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../support/node-process.ts'
import type { ServiceCommand } from './load.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

/** A copy of the service with one place changed. */
export interface Mutant extends Required<ServiceCommand> {
  remove(): Promise<void>
}

/** Replaces text that must be there exactly once: else the code has moved on and the mutant with it. */
const replaceOnce = (text: string, from: string, to: string, where: string): string => {
  assert.equal(text.split(from).length - 1, 1, `${where} holds "${from}" not once: the mutant must be made anew`)
  return text.replace(from, () => to)
}

/** A copy of the sources with one text replaced in one file. The product itself has no setting for any of this. */
async function mutant(file: string, from: string, to: string): Promise<Mutant> {
  const folder = await temporaryFolder()
  for (const name of ['src', 'db', 'package.json']) {
    await cp(join(project, name), join(folder.path, name), { recursive: true })
  }
  await symlink(join(project, 'node_modules'), join(folder.path, 'node_modules'))
  const path = join(folder.path, file)
  await writeFile(path, replaceOnce(await readFile(path, 'utf8'), from, to, file))
  return {
    command: [process.execPath, join(folder.path, 'src/cli.ts'), 'serve'],
    cwd: folder.path,
    remove: () => folder.remove(),
  }
}

/** Answers first and writes its query log 50 ms later: the one `await` is gone on which the whole promise rests. */
export const answerFirstMutant = (): Promise<Mutant> =>
  mutant(
    'src/directory/lookup.ts',
    'await deps.recordLookup(',
    'void ((...record: Parameters<typeof deps.recordLookup>) => setTimeout(() => void deps.recordLookup(...record), 50))(',
  )

/** Writes before it answers, but leaves it to the system when that reaches the disk: a power cut would lose it. */
export const unsyncedMutant = (): Promise<Mutant> =>
  mutant(
    'src/adapters/sqlite.ts',
    "connection.pragma('synchronous = FULL')",
    "connection.pragma('synchronous = NORMAL')",
  )
