import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { toBase64 } from '../src/pki/encoding.ts'
import { freePort } from './cfssl.ts'
import { cpuOf } from './proc.ts'

/** OpenLDAP's slapd over the addresses and certificates of a stock: `mail` with an equality index, in mdb. */

export const suffix = 'dc=bench'
const missing = 'install the Debian package "slapd"'

export const ldifHead = `dn: ${suffix}\nobjectClass: dcObject\nobjectClass: organization\ndc: bench\no: bench\n\n`

export const ldifOf = (address: string, certificate: Uint8Array): string =>
  `dn: uid=${address},${suffix}\nobjectClass: inetOrgPerson\nuid: ${address}\ncn: ${address}\nsn: ${address}\n` +
  `mail: ${address}\nuserCertificate;binary:: ${toBase64(certificate)}\n\n`

const mapBytes = 16 * 2 ** 30

const configOf = (folder: string): string => `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
loglevel 0
database mdb
suffix "${suffix}"
directory ${join(folder, 'mdb')}
maxsize ${mapBytes}
index objectClass eq
index mail eq
`

const run = (program: string, args: readonly string[]): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    child.once('error', (cause) => reject(new Error(`${program} does not start: ${missing}`, { cause })))
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${program} has ended with ${code}`))))
  })

/** Loads a stock into mdb, once; what was loaded is kept beside the stock. */
async function load(ldif: string, kept: string): Promise<void> {
  if (existsSync(kept)) return
  const folder = `${kept}.new`
  await rm(folder, { recursive: true, force: true })
  await mkdir(join(folder, 'mdb'), { recursive: true })
  await writeFile(join(folder, 'slapd.conf'), configOf(folder))
  await run('/usr/sbin/slapadd', ['-q', '-f', join(folder, 'slapd.conf'), '-l', ldif])
  await rename(folder, kept)
}

export class Slapd {
  readonly port: number
  readonly pid: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, pid: number, port: number) {
    this.#child = child
    this.pid = pid
    this.port = port
  }

  /** Starts it on loopback over the loaded stock, which is kept in a folder: the load only reads. */
  static async start(ldif: string, folder: string): Promise<Slapd> {
    await load(ldif, folder)
    await writeFile(join(folder, 'slapd.conf'), configOf(folder))
    const port = await freePort()
    // `-d 0` keeps it in the foreground.
    const args = ['-d', '0', '-f', join(folder, 'slapd.conf'), '-h', `ldap://127.0.0.1:${port}/`]
    const child = spawn('/usr/sbin/slapd', args, { stdio: ['ignore', 'ignore', 'inherit'] })
    const failed = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new Error(`slapd does not start: ${missing}`, { cause })))
      child.once('exit', (code) => reject(new Error(`slapd has ended with ${code}`)))
    })
    // Once it listens, its end is expected, or an answer that does not come tells of it.
    failed.catch(() => undefined)
    await Promise.race([failed, listening(port)])
    if (child.pid === undefined) throw new Error('slapd has no number')
    return new Slapd(child, child.pid, port)
  }

  cpuMicroseconds(): Promise<number> {
    return cpuOf(this.pid)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill()
    await ended
  }
}

/** Resolves once a port of this machine takes connections. */
async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    } finally {
      socket.destroy()
    }
  }
  throw new Error('slapd does not listen')
}
