import { runProgramWell } from './processes.ts'

/** Runs openssl in a folder and resolves with what it wrote. Fails with the package's name where it is missing. */
export async function openssl(folder: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await runProgramWell('openssl', args, { cwd: folder })
    return stdout + stderr
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new Error('openssl is missing: install the Debian package "openssl"', { cause: error })
    }
    throw error
  }
}

/** How openssl makes each kind of key. */
export const keyMakers = {
  'RSA 2048': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  'RSA 4096': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:4096'],
  'P-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
} as const

/** A key and a CSR for it, made by openssl as `name.key` and `name.csr`. */
export async function makeKeyAndCsr(folder: string, name: string, kind: keyof typeof keyMakers): Promise<void> {
  await openssl(folder, 'genpkey', ...keyMakers[kind], '-out', `${name}.key`)
  await openssl(
    folder,
    'req',
    '-new',
    '-key',
    `${name}.key`,
    '-subj',
    '/CN=whatever the app writes',
    '-out',
    `${name}.csr`,
  )
}
