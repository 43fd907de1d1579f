import { writeSync } from 'node:fs'

/** Writes lines to a file descriptor at once: a line about a failure must be out before the process is. */
export const lineWriter =
  (descriptor: number) =>
  (line: string): void => {
    try {
      writeSync(descriptor, `${line}\n`)
    } catch (error) {
      // A pipe that is full or closed must not take the service down with it.
      if (!(error instanceof Error) || !('code' in error) || (error.code !== 'EAGAIN' && error.code !== 'EPIPE'))
        throw error
    }
  }
