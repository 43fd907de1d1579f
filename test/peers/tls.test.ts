import { once } from 'node:events'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openssl } from '../support/openssl.ts'
import { startServer } from '../support/processes.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { openNetwork, type Machine, type Network } from './network.ts'
import { requireProgram } from './programs.ts'
import type { Run } from './run.ts'

const serveCommand = [process.execPath, fileURLToPath(new URL('../../src/cli.ts', import.meta.url)), 'serve']

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let network: Network
const opened: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  for (const [program, debianPackage] of [
    ['curl', 'curl'],
    ['openssl', 'openssl'],
    ['nginx', 'nginx-light'],
  ] as const)
    await requireProgram(program, debianPackage)
  folder = await temporaryFolder()
  network = await openNetwork()
})
afterAll(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
  network.close()
  await folder.remove()
})

/** A self-signed certificate for the server's addresses, as `<name>.pem` and `<name>.key`. */
const makeCertificate = (name: string, ...key: readonly string[]): Promise<string> => {
  const addresses = [network.server, network.client].map(({ address }) => `IP:${address}`).join(',')
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=IP:127.0.0.1,${addresses}`]
  const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`]
  return openssl(folder.path, 'req', '-x509', '-noenc', '-days', '90', '-newkey', ...key, ...names, ...files)
}

const p256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

/** What every service needs that others can reach. */
const reachable = () => ({
  HOST: '0.0.0.0',
  PUBLIC_URL: `https://${network.server.address}`,
  PKI_URL: `http://${network.server.address}:8081`,
  CONTROLLER: 'Example Ltd',
  MAIL_HOOK_URL: 'http://127.0.0.1:9/mail',
})

const startOnServer = async (name: string, settings: Readonly<Record<string, string>>): Promise<ServiceProcess> => {
  const command = network.server.command(...(serveCommand as [string, ...string[]]))
  const service = await startProcess(join(folder.path, name), { command, settings: { ...reachable(), ...settings } })
  opened.push(() => service.end('SIGTERM'))
  return service
}

const curl = (machine: Machine, ...args: readonly string[]): Promise<Run> =>
  machine.run(folder.path, 'curl', '--silent', '--max-time', '20', '--noproxy', '*', ...args)

/** Resolves to the status and body of an answer; redirects are not followed, and none may be offered. */
const ask = async (
  machine: Machine,
  url: string,
  ...args: readonly string[]
): Promise<{ status: number; body: string }> => {
  const { code, output } = await curl(machine, '--include', ...args, url)
  expect([url, code]).toEqual([url, 0])
  const [head = '', ...rest] = output.split('\r\n\r\n')
  expect(head.toLowerCase()).not.toContain('\r\nlocation:')
  return { status: Number(/^HTTP\/[\d.]+ (\d+)/.exec(head)?.[1]), body: `${head}\n${rest.join('\n')}` }
}

describe.each([
  ['P-256', p256],
  ['RSA 2048', ['rsa:2048']],
])('a service with TLS of its own, %s', (kind, key) => {
  const name = `tls-${kind.replace(' ', '-')}`
  let port: number
  let pkiPort: number

  beforeAll(async () => {
    await makeCertificate(name, ...key)
    const settings = { TLS_CERT_FILE: join(folder.path, `${name}.pem`), TLS_KEY_FILE: join(folder.path, `${name}.key`) }
    const service = await startOnServer(name, { ...settings, PKI_PORT: '0' })
    const [first = 0, second = 0] = service.ports
    port = first
    pkiPort = second
  })

  /** A handshake; at security level 0 this client offers everything it knows. */
  const shake = async (...args: readonly string[]): Promise<string> => {
    const { client, server } = network
    const target = ['-connect', `${server.address}:${port}`, '-cipher', 'ALL:@SECLEVEL=0', '-no_ign_eof']
    return (await client.run(folder.path, 'sh', '-c', `openssl s_client "$@" </dev/null`, '-', ...target, ...args))
      .output
  }

  test.each(['-tls1', '-tls1_1'])('openssl s_client %s is refused by the server, by its version', async (version) => {
    const said = await shake(version)
    expect(said).toMatch(/alert protocol version/)
    expect(said).toMatch(/SSL alert number 70/)
    expect(said).toContain('Cipher is (NONE)')
  })

  test.each([
    ['-tls1_2', 'TLSv1.2'],
    ['-tls1_3', 'TLSv1.3'],
  ])('openssl s_client %s is accepted', async (version, protocol) => {
    const said = await shake(version)
    expect(said).toContain(`New, ${protocol}, Cipher is`)
    expect(said).not.toContain('(NONE)')
  })

  test.each([
    'AES128-SHA',
    'ECDHE-RSA-AES128-SHA',
    'ECDHE-ECDSA-AES128-SHA',
    'AES256-GCM-SHA384',
    'ADH-AES128-SHA',
    'NULL',
  ])('openssl s_client -cipher %s is refused: no forward secrecy, or no authenticated encryption', async (cipher) => {
    const said = await shake('-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`)
    expect(said).toMatch(/alert handshake failure/)
    expect(said).toContain('Cipher is (NONE)')
  })

  test('curl is answered from elsewhere, over TLS 1.2 and 1.3, by HTTP/1.1', async () => {
    const url = `https://${network.server.address}:${port}/v1/policy`
    for (const version of ['1.2', '1.3']) {
      const range = [`--tlsv${version}`, '--tls-max', version, '--http2', '--cacert', `${name}.pem`]
      const answer = await ask(network.client, url, ...range)
      expect(answer.status).toBe(200)
      expect(answer.body).toMatch(/^HTTP\/1\.1 200/)
      expect(answer.body.toLowerCase()).toContain('strict-transport-security: max-age=31536000')
    }
  })

  test('curl over plain HTTP has no answer from that port, from elsewhere or from the machine itself', async () => {
    for (const machine of [network.client, network.server]) {
      const { code, output } = await curl(machine, '--include', `http://${network.server.address}:${port}/v1/policy`)
      expect(code).not.toBe(0)
      expect(output).toBe('')
    }
  })

  test('curl over plain HTTP has OCSP and lists from PKI_PORT, and nothing else', async () => {
    const pki = `http://${network.server.address}:${pkiPort}`
    expect((await ask(network.client, `${pki}/ocsp/nobody/AAAA`)).status).toBe(200)
    expect(
      (await ask(network.client, `${pki}/ocsp/nobody/AAAA`, '--header', 'X-Forwarded-For: 192.0.2.1')).status,
    ).toBe(200)
    expect((await ask(network.client, `${pki}/ca/nobody.crl`)).status).toBe(404)
    for (const path of ['/v1/policy', '/healthz', '/', '/openapi.json']) {
      const answer = await ask(network.client, pki + path)
      expect(answer.status).toBe(404)
      expect(answer.body).toContain('"code":"not_found"')
    }
  })
})

describe('a service behind a proxy', () => {
  const nginxPorts = { tls: 8443, plain: 8080, undeclared: 8444 }
  let port: number
  let direct: string

  /** nginx, which ends TLS on the machine of the clients, as somebody would put it up. */
  const startNginx = async (): Promise<void> => {
    const { client } = network
    const proxy = (...more: readonly string[]): string =>
      [
        `location / {`,
        `  proxy_pass http://${network.server.address}:${port};`,
        '  proxy_set_header Host $host;',
        '  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
        '  proxy_set_header X-Forwarded-Proto $scheme;',
        ...more.map((line) => `  ${line}`),
        '}',
      ].join('\n')
    const tls = [`ssl_certificate ${folder.path}/proxy.pem;`, `ssl_certificate_key ${folder.path}/proxy.key;`].join(
      '\n',
    )
    const configuration = [
      `daemon off; master_process off; pid ${folder.path}/nginx.pid; error_log ${folder.path}/nginx.log;`,
      'events { }',
      'http {',
      'access_log off;',
      `server { listen ${nginxPorts.tls} ssl; ${tls} ${proxy()} }`,
      `server { listen ${nginxPorts.plain}; ${proxy()} }`,
      `server { listen ${nginxPorts.undeclared} ssl; ${tls} ${proxy(`proxy_bind ${client.otherAddress};`)} }`,
      '}',
    ].join('\n')
    await writeFile(join(folder.path, 'nginx.conf'), configuration)
    const [program = '', ...args] = client.command('nginx', '-p', folder.path, '-c', 'nginx.conf')
    const nginx = startServer(program, args, { cwd: folder.path })
    for (const said of [nginx.stdout, nginx.stderr]) said.resume()
    const ended = once(nginx, 'exit')
    opened.push(async () => {
      nginx.kill('SIGTERM')
      await ended
    })
    const listening = ['--retry', '50', '--retry-connrefused', '--retry-delay', '1', '--max-time', '30']
    const up = curl(client, ...listening, `http://127.0.0.1:${nginxPorts.plain}/`)
    const early = ended.then(async () => {
      throw new Error(`nginx did not start: ${await readFile(join(folder.path, 'nginx.log'), 'utf8')}`)
    })
    await Promise.race([up, early])
  }

  beforeAll(async () => {
    await makeCertificate('proxy', ...p256)
    const service = await startOnServer('behind', { TRUSTED_PROXY: `127.0.0.1, ${network.client.address}/32` })
    const [bound = 0] = service.ports
    port = bound
    direct = `http://${network.server.address}:${port}`
    await startNginx()
  })

  const elsewhere = (port: number, scheme = 'https'): string =>
    `${scheme}://${network.client.address}:${port}/v1/policy`

  test('answers what comes by TLS through the declared nginx', async () => {
    const answer = await ask(network.client, elsewhere(nginxPorts.tls), '--cacert', 'proxy.pem')
    expect(answer.status).toBe(200)
    expect(answer.body.toLowerCase()).toContain('strict-transport-security')
  })

  test('believes the declared nginx, not what its client forged', async () => {
    const forged = ['--header', 'X-Forwarded-Proto: https', '--header', 'X-Forwarded-For: 127.0.0.1']
    const answer = await ask(network.client, elsewhere(nginxPorts.plain, 'http'), ...forged)
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('"code":"https_required"')])
  })

  test('refuses what comes in the clear through the declared nginx', async () => {
    const answer = await ask(network.client, elsewhere(nginxPorts.plain, 'http'))
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('"code":"https_required"')])
  })

  test('refuses what comes through an nginx that is not declared, though by TLS', async () => {
    const answer = await ask(network.client, elsewhere(nginxPorts.undeclared), '--cacert', 'proxy.pem')
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('"code":"forwarding_refused"')])
  })

  test('refuses plain HTTP from elsewhere, for every path and without a redirect', async () => {
    const { client } = network
    for (const path of ['/v1/policy', '/healthz', '/readyz', '/openapi.json', '/', '/ca/x.crl']) {
      const answer = await ask(client, direct + path)
      expect([path, answer.status, answer.body]).toEqual([
        path,
        403,
        expect.stringContaining('"code":"https_required"'),
      ])
    }
    const other = await ask(client, `${direct}/v1/policy`, '--interface', client.otherAddress)
    expect(other.status).toBe(403)
    const forged = await ask(
      client,
      `${direct}/v1/policy`,
      '--interface',
      client.otherAddress,
      '--header',
      'X-Forwarded-Proto: https',
    )
    expect(forged.body).toContain('"code":"forwarding_refused"')
  })

  test('answers plain HTTP from the machine itself, by loopback only', async () => {
    const { server } = network
    expect((await ask(server, `http://127.0.0.1:${port}/v1/policy`)).status).toBe(200)
    expect((await ask(server, `${direct}/v1/policy`)).status).toBe(403)
  })
})

test('a certificate that is renewed under load is shown to new connections, and curl drops nothing', async () => {
  await makeCertificate('renewed', ...p256)
  const certificateFile = join(folder.path, 'renewed.pem')
  const keyFile = join(folder.path, 'renewed.key')
  const service = await startOnServer('renewed', {
    TLS_CERT_FILE: certificateFile,
    TLS_KEY_FILE: keyFile,
    PKI_PORT: '0',
  })
  const url = `https://127.0.0.1:${service.ports[0]}/v1/policy`
  const ending = new AbortController()
  const answered = { kept: 0, fresh: 0 }
  const faults: Run[] = []
  /** Each call is a connection; the numbers in brackets are requests on it, one after the other. */
  const keepAsking = async (connections: keyof typeof answered, requests: number): Promise<void> => {
    const what = ['--insecure', '--fail', '--output', '/dev/null', `${url}?[1-${requests}]`]
    while (!ending.signal.aborted) {
      const ended = await curl(network.server, ...what)
      if (ended.code === 0) answered[connections] += 1
      else faults.push(ended)
    }
  }
  const load = Promise.all([keepAsking('kept', 200), keepAsking('fresh', 1)])
  const shown = async (): Promise<string> => {
    const target = `127.0.0.1:${service.ports[0]}`
    const { output } = await network.server.run(
      folder.path,
      'sh',
      '-c',
      `openssl s_client -connect ${target} </dev/null 2>/dev/null | openssl x509 -noout -subject`,
    )
    return output.replace('subject=CN =', '').trim()
  }
  expect(await shown()).toBe('renewed')
  for (const name of ['renewed-2', 'renewed-3']) {
    await makeCertificate(name, ...p256)
    // As renewal programs do it: each file is replaced as a whole, and then the service is told.
    await rename(join(folder.path, `${name}.pem`), certificateFile)
    await rename(join(folder.path, `${name}.key`), keyFile)
    service.child.kill('SIGHUP')
    await expect.poll(shown, { interval: 50 }).toBe(name)
    // A connection that was open while the certificate changed has ended, and new ones after it.
    const { kept, fresh } = answered
    await expect.poll(() => answered.kept).toBeGreaterThan(kept)
    await expect.poll(() => answered.fresh).toBeGreaterThan(fresh + 2)
  }
  ending.abort()
  await load
  expect(faults).toEqual([])
})
