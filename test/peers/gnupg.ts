import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openssl } from '../support/openssl.ts'
import { run, runWell, type Run } from './run.ts'

/** gpgsm with a home, an agent and a dirmngr of its own, which trusts root.pem of the folder it runs in. */
export interface GnuPg {
  run(...args: readonly string[]): Promise<Run>
  runWell(...args: readonly string[]): Promise<string>
  /** Stops the agent and the dirmngr of this home. */
  end(): Promise<void>
}

export async function startGnuPg(folder: string, name = 'gnupg'): Promise<GnuPg> {
  const home = join(folder, name)
  await mkdir(home, { mode: 0o700 })
  const fingerprint = await openssl(folder, 'x509', '-in', 'root.pem', '-noout', '-fingerprint', '-sha1')
  await writeFile(join(home, 'trustlist.txt'), `${fingerprint.trim().replace(/^.*=/, '')} S relax\n`)
  const environment = { GNUPGHOME: home }
  return {
    run: (...args) => run(folder, 'gpgsm', ['--batch', ...args], environment),
    runWell: (...args) => runWell(folder, 'gpgsm', ['--batch', ...args], environment),
    end: async () => {
      await runWell(folder, 'gpgconf', ['--kill', 'all'], environment)
    },
  }
}
