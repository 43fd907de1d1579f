import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { startServer } from '../support/processes.ts'
import { lastResortMilliseconds } from '../support/last-resort.ts'
import { requireProgram } from './programs.ts'
import { run, runWell } from './run.ts'

/** The files of ops/, read by the programs that they are for. */

const ops = join(import.meta.dirname, '../../ops')
const units = ['certbook.service', 'certbook-backup.service', 'certbook-backup.timer']

type Folder = Awaited<ReturnType<typeof temporaryFolder>>

describe('the systemd units', () => {
  let folder: Folder
  beforeAll(async () => {
    await requireProgram('systemd-analyze', 'systemd')
    folder = await temporaryFolder()
    const system = join(folder.path, 'usr/lib/systemd/system')
    await mkdir(system, { recursive: true })
    await mkdir(join(folder.path, 'usr/bin'), { recursive: true })
    for (const name of await readdir('/lib/systemd/system')) {
      if (name.endsWith('.target')) await copyFile(join('/lib/systemd/system', name), join(system, name))
    }
    for (const name of units) await copyFile(join(ops, 'systemd', name), join(system, name))
    const node = join(folder.path, 'usr/bin/node')
    await writeFile(node, '#!/bin/sh\n')
    await chmod(node, 0o755)
  })
  afterAll(() => folder.remove())

  const verify = () => run(folder.path, 'systemd-analyze', ['verify', `--root=${folder.path}`, '--man=no', ...units])

  test('are taken by systemd without a word', async () => {
    expect(await verify()).toEqual({ code: 0, output: '' })
  })

  test('a setting that systemd does not know is found: the check was not asleep', async () => {
    const file = join(folder.path, 'usr/lib/systemd/system/certbook.service')
    const good = await readFile(file, 'utf8')
    await writeFile(file, good.replace('NoNewPrivileges=yes', 'NoNewPrivilegs=yes'))
    try {
      expect((await verify()).output).toContain('NoNewPrivilegs')
    } finally {
      await writeFile(file, good)
    }
  })

  test.each(['certbook.service', 'certbook-backup.service'])('%s exposes little', async (unit) => {
    // In tenths: below 2.0 of 10.
    const args = ['security', `--root=${folder.path}`, '--offline=true', '--threshold=20', '--no-pager', unit]
    const { code, output } = await run(folder.path, 'systemd-analyze', args)
    expect(code, output.split('\n').slice(-3).join('\n')).toBe(0)
  })
})

/** Ports that nobody listens on just now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => {
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no TCP address')
    return address.port
  })
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

describe('the nginx example', () => {
  let folder: Folder
  let service: ServiceProcess
  let nginx: ChildProcess
  let tls = 0
  let plain = 0

  beforeAll(async () => {
    await requireProgram('nginx', 'nginx-light')
    await requireProgram('openssl', 'openssl')
    folder = await temporaryFolder()
    const [first = 0, second = 0, port = 0, pkiPort = 0] = await freePorts(4)
    tls = first
    plain = second
    service = await startProcess(join(folder.path, 'data'), {
      settings: {
        PORT: String(port),
        PKI_PORT: String(pkiPort),
        PUBLIC_URL: 'https://keys.example.com',
        PKI_URL: 'http://pki.example.com',
        TRUSTED_PROXY: '127.0.0.1',
      },
    })
    const subject = ['-subj', '/CN=keys.example.com', '-addext', 'subjectAltName=DNS:keys.example.com']
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'tls.key']
    await runWell(folder.path, 'openssl', ['req', '-x509', ...key, '-out', 'tls.pem', '-days', '2', ...subject])
    const example = (await readFile(join(ops, 'nginx.conf'), 'utf8'))
      .replace(/^ *listen \[::\].*$/gm, '')
      .replace('listen 443 ', `listen 127.0.0.1:${tls} `)
      .replace('listen 80;', `listen 127.0.0.1:${plain};`)
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replaceAll('127.0.0.1:8081', `127.0.0.1:${pkiPort}`)
      .replaceAll(/\/etc\/nginx\/tls\/keys\.example\.com\.(pem|key)/g, `${folder.path}/tls.$1`)
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${folder.path}/${name};`,
    )
    await writeFile(
      join(folder.path, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder.path}/nginx.pid; error_log ${folder.path}/error.log;
       events {} http { ${temporary.join(' ')} ${example} }`,
    )
    const args = ['-p', folder.path, '-c', join(folder.path, 'nginx.conf')]
    await runWell(folder.path, 'nginx', ['-t', ...args])
    const server = startServer('nginx', args)
    nginx = server
    for (const said of [server.stdout, server.stderr]) said.resume()
    await vi.waitFor(async () => expect((await ask('/healthz')).status).toBe(200), { timeout: lastResortMilliseconds })
  })
  afterAll(async () => {
    nginx.kill('SIGTERM')
    await once(nginx, 'exit')
    await service.end('SIGTERM')
    await folder.remove()
  })

  const ask = async (
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }> => {
    const host = { host: '127.0.0.1', port: tls, servername: 'keys.example.com' }
    const asked = request({
      ...host,
      path,
      rejectUnauthorized: false,
      headers: { Host: 'keys.example.com', ...headers },
    })
    const answered = once(asked, 'response')
    asked.end()
    const [answer] = await answered
    const parts: Buffer[] = []
    for await (const part of answer) parts.push(part)
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts).toString('utf8') }
  }
  const askPlainly = (path: string) =>
    fetch(`http://127.0.0.1:${plain}${path}`, { headers: { Host: 'pki.example.com' } })

  test('passes requests on as they came, by TLS', async () => {
    const ready = await ask('/readyz')
    expect([ready.status, JSON.parse(ready.body)]).toMatchObject([200, { status: 'ready', unusable: [] }])
    expect(ready.headers['strict-transport-security']).toMatch(/^max-age=/)
    expect(JSON.parse((await ask('/v1/me')).body).code).toBe('credential_required')
  })

  test('lets no client say by a header that it is somebody else', async () => {
    const forged = { 'X-Forwarded-For': '127.0.0.1', Forwarded: 'for=127.0.0.1', 'X-Real-IP': '127.0.0.1' }
    expect((await ask('/readyz', forged)).status).toBe(200)
    expect((await ask('/readyz', { 'X-Forwarded-Proto': 'http' })).status).toBe(200)
  })

  test('does not show the figures to the world, by whatever spelling', async () => {
    expect((await ask('/metrics')).status).toBe(404)
    // What passes the proxy is no request of this machine itself.
    for (const path of ['//metrics', '/metrics/', '/%6detrics', '/./metrics', '/metrics?x']) {
      expect([401, 404], path).toContain((await ask(path)).status)
    }
  })

  test('answers over plain HTTP for the CA and nothing else', async () => {
    expect((await askPlainly('/ca/none.crl')).status).toBe(404)
    for (const path of ['/', '/v1/policy', '/healthz', '/metrics']) expect((await askPlainly(path)).status).toBe(404)
    const authorities = JSON.parse((await ask('/v1/authorities')).body)
    expect((await askPlainly(`/ca/${authorities.items[0].id}.cer`)).status).toBe(200)
  })
})

describe('the container file', () => {
  test('copies what the service needs, and the service starts from just that and is found healthy', async () => {
    const containerfile = await readFile(join(ops, 'Containerfile'), 'utf8')
    const root = join(ops, '..')
    const folder = await temporaryFolder()
    try {
      const copies = Array.from(containerfile.matchAll(/^COPY (?!--from)(.+) (\S+)$/gm), ([, from = '', to = '']) => ({
        from: from.split(' '),
        to,
      }))
      expect(copies.length).toBeGreaterThan(3)
      for (const { from, to } of copies) {
        for (const path of from) {
          const target = to.endsWith('/') ? join(folder.path, to, path) : join(folder.path, to)
          await cp(join(root, path), target, { recursive: true })
        }
      }
      await cp(join(root, 'node_modules'), join(folder.path, 'node_modules'), {
        recursive: true,
        filter: onlyForRunning(root),
      })
      const [program = '', ...args]: string[] = JSON.parse(/^CMD (\[.*\])$/m.exec(containerfile)?.[1] ?? '[]')
      const data = join(folder.path, 'data')
      const service = await startProcess(data, { command: [program, ...args], cwd: folder.path })
      try {
        const [checker = '', ...checks]: string[] = JSON.parse(
          /HEALTHCHECK .* CMD (\[.*\])$/m.exec(containerfile)?.[1] ?? '[]',
        )
        const { port } = new URL(service.url)
        expect(await run(folder.path, checker, checks, { PORT: port })).toEqual({ code: 0, output: '' })
        const [nobody = 0] = await freePorts(1)
        expect((await run(folder.path, checker, checks, { PORT: String(nobody) })).code).toBe(1)
      } finally {
        expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
      }
    } finally {
      await folder.remove()
    }
  })
})

/** Leaves out what a lock file marks as for development only, as `npm ci --omit=dev` does. */
function onlyForRunning(root: string): (path: string) => Promise<boolean> {
  const lock = readFile(join(root, 'package-lock.json'), 'utf8').then(
    (text): Record<string, { dev?: boolean; devOptional?: boolean }> => JSON.parse(text).packages,
  )
  return async (path) => {
    const packages = await lock
    const found = packages[path.slice(root.length + 1)]
    return found === undefined ? !path.endsWith('/node_modules/.bin') : found.dev !== true && found.devOptional !== true
  }
}
