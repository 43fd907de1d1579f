import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { openssl } from '../test/support/openssl.ts'

/** `cfssl serve` with a CA of its own in a folder, on a free port of this machine. */
export class Cfssl {
  /** Where it listens, without a path. */
  readonly url: string
  /** Its own certificate, PEM. */
  readonly certificate: string
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string, certificate: string) {
    this.#child = child
    this.url = url
    this.certificate = certificate
  }

  static async start(folder: string, key: CaKey): Promise<Cfssl> {
    await mkdir(folder)
    await makeCa(folder, key)
    const port = await freePort()
    const files = ['-ca', 'ca.pem', '-ca-key', 'ca-key.pem', '-config', 'config.json']
    const child = spawn('cfssl', ['serve', '-loglevel', '5', '-address', '127.0.0.1', '-port', `${port}`, ...files], {
      cwd: folder,
      stdio: 'ignore',
    })
    const missing = new Promise<never>((_, reject) => {
      child.once('error', (cause) =>
        reject(new Error('cfssl does not start: install the Debian package "golang-cfssl"', { cause })),
      )
      child.once('exit', (code) => reject(new Error(`cfssl has ended with ${code}`)))
    })
    // Once it listens, its end is expected, or an answer that does not come tells of it.
    missing.catch(() => undefined)
    const cfssl = new Cfssl(child, `http://127.0.0.1:${port}`, await readFile(join(folder, 'ca.pem'), 'utf8'))
    try {
      await Promise.race([missing, cfssl.#listening()])
      return cfssl
    } catch (error) {
      await cfssl.stop()
      throw error
    }
  }

  /** Has one CSR signed for one mailbox. */
  async sign(csr: string, address: string): Promise<void> {
    const response = await fetch(`${this.url}/api/v1/cfssl/sign`, {
      method: 'POST',
      body: JSON.stringify({ certificate_request: csr, hosts: [address], subject: { CN: address } }),
    })
    const answer = await response.text()
    if (!answer.includes('BEGIN CERTIFICATE')) throw new Error(`cfssl signs nothing: ${answer}`)
  }

  /** CPU time of all its threads so far, in microseconds; proc(5) tells it in hundredths of a second. */
  async cpuMicroseconds(): Promise<number> {
    const line = await readFile(`/proc/${this.#child.pid}/stat`, 'utf8')
    // The name stands in parentheses and may hold anything; utime and stime are the 12th and 13th field behind it.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return
    const ended = once(this.#child, 'exit')
    this.#child.kill()
    await ended
  }

  async #listening(): Promise<void> {
    for (let tries = 0; tries < 200; tries += 1) {
      const answer = await fetch(`${this.url}/api/v1/cfssl/info`, { method: 'POST', body: '{}' }).catch(() => null)
      await answer?.arrayBuffer()
      if (answer?.ok === true) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error('cfssl does not listen')
  }
}

const usages = {
  sign: ['digital signature'],
  encrypt: ['key agreement'],
  dual: ['digital signature', 'key agreement'],
} as const

const profile = (use: keyof typeof usages) => ({
  expiry: '9504h',
  usages: [...usages[use], 'email protection'],
  crl_url: 'http://pki.example.com/ca/issuing.crl',
  ocsp_url: 'http://pki.example.com/ocsp/issuing',
  issuer_urls: ['http://pki.example.com/ca/issuing.cer'],
})

/** One profile for each use of a P-256 key. */
const config = {
  signing: {
    default: profile('dual'),
    profiles: { sign: profile('sign'), encrypt: profile('encrypt'), dual: profile('dual') },
  },
}

/** The keys of CAs that are measured: S/MIME BR 6.1.5 asks for 4,096 bits in the RSA key of a new CA. */
export type CaKey = 'p256' | 'rsa4096'

const newKeys: Readonly<Record<CaKey, readonly string[]>> = {
  p256: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa4096: ['-newkey', 'rsa:4096'],
}

async function makeCa(folder: string, caKey: CaKey): Promise<void> {
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  const key = [...newKeys[caKey], '-noenc', '-keyout', 'ca-key.pem']
  await openssl(folder, 'req', '-x509', ...key, '-subj', '/CN=Issuing', '-days', '3650', '-out', 'ca.pem')
}

/** A port that was free a moment ago: not every server can say which one the system gave it. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('the port has no number')
  return address.port
}
