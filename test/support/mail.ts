import { watch } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** Where a test reads the mail that the service sent. */
export interface MailSource {
  /** The message of a registration, as soon as it is there. */
  challengeOf(registration: string): Promise<string>
}

const header = (message: string, name: string): string | null =>
  new RegExp(`^${name}: (.*)$`, 'im').exec(message)?.[1]?.trim() ?? null

/** The token in a challenge's header, as the mail client reads it. */
export const tokenIn = (message: string): string => {
  const token = header(message, 'Certbook-Token')
  if (token === null) throw new Error('the message carries no token')
  return token
}

/** Mail that arrived, and who waits for it. */
export class MailPool implements MailSource {
  readonly messages: string[] = []
  #waiting: { registration: string; resolve: (message: string) => void }[] = []

  add(message: string): void {
    this.messages.push(message)
    const registration = header(message, 'Certbook-Registration')
    const served = this.#waiting.filter((waiting) => waiting.registration === registration)
    this.#waiting = this.#waiting.filter((waiting) => waiting.registration !== registration)
    for (const waiting of served) waiting.resolve(message)
  }

  challengeOf(registration: string): Promise<string> {
    const there = this.messages.find((message) => header(message, 'Certbook-Registration') === registration)
    if (there !== undefined) return Promise.resolve(there)
    return new Promise((resolve) => this.#waiting.push({ registration, resolve }))
  }
}

/** The development mail folder of a service. */
export async function watchOutbox(folder: string): Promise<MailSource & { close(): void }> {
  await mkdir(folder, { recursive: true })
  const pool = new MailPool()
  const seen = new Set<string>()
  const collect = async (): Promise<void> => {
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.eml') || seen.has(name)) continue
      seen.add(name)
      pool.add(await readFile(join(folder, name), 'utf8'))
    }
  }
  const watcher = watch(folder, () => void collect())
  await collect()
  return { challengeOf: (registration) => pool.challengeOf(registration), close: () => watcher.close() }
}

/** A mail hook on loopback: what a Worker POSTs its mail to. */
export async function startMailHook(): Promise<MailPool & { url: string; close(): Promise<void> }> {
  const pool = new MailPool()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      pool.add(Buffer.concat(chunks).toString('utf8'))
      response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(pool, {
    url: `http://127.0.0.1:${port}/mail`,
    close: () => {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  })
}
