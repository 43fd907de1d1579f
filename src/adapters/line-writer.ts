import { writeSync } from 'node:fs'

/** Writes lines to a file descriptor at once, so that a line about a failure is out before the process ends. */
export const lineWriter =
  (descriptor: number) =>
  (line: string): void => {
    try {
      writeSync(descriptor, `${line}\n`)
    } catch (error) {
      // A full or closed pipe must not stop the service.
      if (!(error instanceof Error) || !('code' in error) || (error.code !== 'EAGAIN' && error.code !== 'EPIPE'))
        throw error
    }
  }
