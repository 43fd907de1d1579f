import { createHash, randomUUID } from 'node:crypto'
import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { certificatesOfPem } from '../../src/pki/pem.ts'
import { runWell } from '../peers/run.ts'
import { startCaProgram } from './ca-program.ts'
import { temporaryFolder } from './node-process.ts'
import { freePort } from './odd-servers.ts'
import { openssl } from './openssl.ts'

const source = fileURLToPath(new URL('../peers/step-ca/main.go', import.meta.url))
/** Where Debian keeps the sources of Go packages. */
const debianSources = '/usr/share/gocode'
const packageFolder = join(debianSources, 'src/github.com/smallstep/certificates')

const isThere = async (path: string): Promise<boolean> => {
  try {
    await stat(path)
    return true
  } catch {
    return false
  }
}

/**
 * The program, built from Debian's packages golang-go and golang-github-smallstep-certificates-dev. It takes half a
 * minute, so it is kept until its source or Go changes; whoever builds at the same time builds the same.
 */
export async function buildStepCa(): Promise<string> {
  if (!(await isThere(packageFolder))) {
    throw new Error('step-ca is missing: install the Debian package golang-github-smallstep-certificates-dev')
  }
  const go = await runWell(tmpdir(), 'go', ['version'])
  const hash = createHash('sha256')
    .update(await readFile(source))
    .update(go)
    .update(packageFolder)
    .digest('hex')
  const folder = join(tmpdir(), `certbook-step-ca-${hash.slice(0, 16)}`)
  const program = join(folder, 'step-ca')
  if (await isThere(program)) return program

  const own = join(folder, randomUUID())
  const place = join(own, 'src/step-ca')
  await mkdir(place, { recursive: true })
  try {
    await copyFile(source, join(place, 'main.go'))
    await runWell(place, 'go', ['build', '-o', join(own, 'step-ca'), '.'], {
      GO111MODULE: 'off',
      GOFLAGS: '',
      GOPATH: [own, debianSources].join(delimiter),
      GOCACHE: join(own, 'cache'),
      // So that it needs no C compiler.
      CGO_ENABLED: '0',
    })
    await rename(join(own, 'step-ca'), program)
  } finally {
    await rm(own, { recursive: true, force: true })
  }
  return program
}

/** One provisioner of the configuration: its public key as the adapter shows it, and its claims. */
export interface StepCaProvisioner {
  readonly name: string
  readonly key: object
  /** As Go writes durations; a year where it is not said. */
  readonly longestTerm?: string
  readonly usualTerm?: string
  readonly template?: string
}

/** For S/MIME, for each use and kind of key; what the documentation of the adapter recommends. */
export const mailTemplate = `{
  "subject": {},
  "sans": {{ toJson .SANs }},
  {{- $decrypting := "keyAgreement" }}
  {{- if typeIs "*rsa.PublicKey" .Insecure.CR.PublicKey }}{{ $decrypting = "keyEncipherment" }}{{ end }}
  {{- if eq .Insecure.User.use "sign" }}
  "keyUsage": ["digitalSignature"],
  {{- else if eq .Insecure.User.use "encrypt" }}
  "keyUsage": [{{ toJson $decrypting }}],
  {{- else }}
  "keyUsage": ["digitalSignature", {{ toJson $decrypting }}],
  {{- end }}
  "extKeyUsage": ["emailProtection"]
}`

export interface StepCaServer {
  readonly url: string
  readonly port: number
  /** DER. */
  readonly root: Uint8Array
  readonly issuing: Uint8Array
  /** The serial numbers, in decimal, of all that it has signed and kept, by its own log. */
  issued(): Promise<string[]>
  stop(): Promise<void>
}

/** Starts a step-ca with a root, an issuing CA and a database of its own, on a port of this machine. */
export async function startStepCa(provisioners: readonly StepCaProvisioner[]): Promise<StepCaServer> {
  const program = await buildStepCa()
  const folder = await temporaryFolder()
  const at = (name: string): string => join(folder.path, name)
  await makeCas(folder.path)
  const root = await certificateIn(at('root.pem'))
  const rootPem = await readFile(at('root.pem'), 'utf8')
  const started = await startCaProgram({
    program,
    debianPackage: 'golang-go',
    findPort: async () => {
      const port = await freePort()
      await writeFile(at('ca.json'), JSON.stringify(configOf(at, port, provisioners)))
      return port
    },
    args: () => [at('ca.json')],
    isReady: (port) => isHealthy(port, rootPem, '/health'),
  })
  return {
    url: `https://127.0.0.1:${started.port}`,
    port: started.port,
    root,
    issuing: await certificateIn(at('issuing.pem')),
    async issued() {
      // Its lines come in the order of its answers: before this one stand all that were answered before.
      const path = `/health?${randomUUID()}`
      await isHealthy(started.port, rootPem, path)
      await started.wrote(path)
      return signedIn(started.output())
    },
    async stop() {
      await started.stop()
      await folder.remove()
    },
  }
}

const isHealthy = (port: number, ca: string, path: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, path, ca, agent: false }, (answer) => {
      answer.resume()
      answer.once('end', () => resolve(answer.statusCode === 200))
    })
    asking.once('error', reject)
    asking.end()
  })

const signedLine = z.object({ path: z.string(), status: z.literal(201), serial: z.string() })

/** step-ca writes one line for each request once it is answered, with the serial number of what it signed. */
function signedIn(log: string): string[] {
  return log.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return []
    const signed = signedLine.safeParse(JSON.parse(line)).data
    return signed?.path === '/1.0/sign' ? [signed.serial] : []
  })
}

async function certificateIn(file: string): Promise<Uint8Array> {
  const [certificate] = certificatesOfPem(await readFile(file, 'utf8')) ?? []
  if (certificate === undefined) throw new Error(`no certificate in ${file}`)
  return certificate
}

async function makeCas(folder: string): Promise<void> {
  const newKey = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out']
  const request = ['req', '-x509', '-new', '-days', '3650', '-addext', 'keyUsage=critical,keyCertSign,cRLSign']
  const root = ['-key', 'root.key', '-subj', '/CN=A root of step-ca', '-out', 'root.pem']
  const issuing = ['-key', 'issuing.key', '-subj', '/CN=An issuing CA of step-ca', '-out', 'issuing.pem']
  const byRoot = ['-CA', 'root.pem', '-CAkey', 'root.key']
  await openssl(folder, ...newKey, 'root.key')
  await openssl(folder, ...newKey, 'issuing.key')
  await openssl(folder, ...request, ...root, '-addext', 'basicConstraints=critical,CA:true')
  await openssl(folder, ...request, ...issuing, ...byRoot, '-addext', 'basicConstraints=critical,CA:true,pathlen:0')
}

function configOf(at: (name: string) => string, port: number, provisioners: readonly StepCaProvisioner[]): unknown {
  return {
    root: at('root.pem'),
    crt: at('issuing.pem'),
    key: at('issuing.key'),
    address: `127.0.0.1:${port}`,
    dnsNames: ['127.0.0.1'],
    logger: { format: 'json' },
    db: { type: 'badgerv2', dataSource: at('database') },
    authority: {
      provisioners: provisioners.map(({ name, key, longestTerm = '9600h', usualTerm, template = mailTemplate }) => ({
        type: 'JWK',
        name,
        key,
        claims: { maxTLSCertDuration: longestTerm, defaultTLSCertDuration: usualTerm ?? longestTerm },
        options: { x509: { template } },
      })),
    },
  }
}
