import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join, relative, sep, isAbsolute } from 'node:path'
import type { CheckpointKeeper } from '../ports/checkpoints.ts'
import { syncPath } from './durable-files.ts'

/** The folder of AUDIT_CHECKPOINTS cannot be used. */
export class CheckpointFolderUnusable extends Error {
  constructor(reason: string) {
    super(`AUDIT_CHECKPOINTS: ${reason}`)
    this.name = 'CheckpointFolderUnusable'
  }
}

const isInside = (folder: string, path: string): boolean => {
  const way = relative(path, folder)
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/**
 * Throws `CheckpointFolderUnusable` if there is no such folder, or if it lies inside `dataDir`: whoever changes the data
 * there would change the checkpoints too. `dataDir` need not exist.
 */
export function requireOutsideData(path: string, dataDir: string): void {
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    throw new CheckpointFolderUnusable(`there is no folder ${path}; make it, for the user of the service`)
  }
  if (existsSync(dataDir) && isInside(realpathSync(path), realpathSync(dataDir))) {
    throw new CheckpointFolderUnusable(`${path} lies inside DATA_DIR; name a folder outside of it`)
  }
}

const filePattern = /^checkpoints-\d{4}-\d{2}\.txt$/

/** Checkpoints in a folder, in one file a month. Files only grow. */
export class CheckpointFolder implements CheckpointKeeper {
  readonly #path: string

  /** Throws `CheckpointFolderUnusable`. */
  constructor(path: string, dataDir: string) {
    requireOutsideData(path, dataDir)
    this.#path = path
  }

  async newest(): Promise<string> {
    const name = readdirSync(this.#path)
      .filter((file) => filePattern.test(file))
      .toSorted()
      .at(-1)
    return name === undefined ? '' : readFileSync(join(this.#path, name), 'utf8')
  }

  async keep(note: string, at: number): Promise<void> {
    const path = join(this.#path, `checkpoints-${new Date(at).toISOString().slice(0, 7)}.txt`)
    const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
    // A note that a loss of power has cut does not end its line.
    const between = before === '' ? '' : before.endsWith('\n') ? '\n' : '\n\n'
    const file = openSync(path, 'a', 0o600)
    try {
      writeSync(file, `${between}${note}`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    syncPath(this.#path)
  }
}
