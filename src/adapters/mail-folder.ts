import { mkdir, readdir, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeliveryFailed, type Mailer, type OutgoingMessage } from '../ports/mailer.ts'

/** For development: writes each message as an `.eml` file, which mail programs can open. */
export class MailFolder implements Mailer {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The file gets its name when it is complete. */
  async deliver(message: OutgoingMessage): Promise<void> {
    const path = join(this.#folder, `${message.id}.eml`)
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await writeFile(`${path}.part`, message.raw, { mode: 0o600 })
      await rename(`${path}.part`, path)
    } catch (cause) {
      throw new DeliveryFailed('the mail folder cannot be written', false, { cause })
    }
  }

  /** Deletes messages older than `before` (UTC milliseconds). */
  async removeOlderThan(before: number): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name)
      const { mtimeMs } = await stat(path)
      if (mtimeMs < before) await unlink(path)
    }
  }
}
