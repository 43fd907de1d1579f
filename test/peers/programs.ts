import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

const isExecutable = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Fails with what to install where a program is not in the PATH: a test that needs one is never skipped. */
export async function requireProgram(name: string, debianPackage: string): Promise<void> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (await isExecutable(join(folder, name))) return
  }
  throw new Error(`${name} is missing: install the Debian package ${debianPackage}`)
}
