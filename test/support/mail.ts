import { watch } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { simpleParser, type ParsedMail } from 'mailparser'

/** Where a test reads the mail that the service sent. */
export interface MailSource {
  /**
   * The challenge of a registration, or to a mailbox by its id, as soon as it is there. Where several come for one
   * mailbox, `earlier` is how many are not waited for.
   */
  challengeOf(registration: string, earlier?: number): Promise<string>
  /** How many challenges have come so far. */
  challengesOf(registration: string): number
  /** The mail to an address with a subject, as soon as it is there; `earlier` are not waited for. */
  arrivalOf(to: string, subject: string, earlier?: number): Promise<string>
}

const header = (message: string, name: string): string | null =>
  new RegExp(`^${name}: (.*)$`, 'im').exec(message)?.[1]?.trim() ?? null

/** The token in a challenge's header, as the mail client reads it. */
export const tokenIn = (message: string): string => {
  const token = header(message, 'Certbook-Token')
  if (token === null) throw new Error('the message carries no token')
  return token
}

/** The other registrations that a challenge speaks for, and their tokens. */
export const alsoIn = (message: string): Map<string, string> =>
  new Map(
    [...message.matchAll(/^Certbook-Also: (\S+)\s+(\S+)$/gim)].map(([, registration = '', token = '']) => [
      registration,
      token,
    ]),
  )

/** A message as a mail client reads it. */
export interface ReadMail {
  readonly parsed: ParsedMail
  readonly subject: string
  readonly text: string
  readonly html: string
  header(name: string): string
}

/** Reads a message with a parser that is not ours. Nothing is made up: what it does not have is the empty string. */
export async function readMail(message: string): Promise<ReadMail> {
  const parsed = await simpleParser(message, { skipTextToHtml: true, skipHtmlToText: true })
  return {
    parsed,
    subject: parsed.subject ?? '',
    text: parsed.text ?? '',
    html: typeof parsed.html === 'string' ? parsed.html : '',
    header: (name) => {
      const value = parsed.headers.get(name.toLowerCase())
      return typeof value === 'string' ? value : ''
    },
  }
}

/** The addresses that a text holds. */
export const linksIn = (text: string): string[] => [...new Set(text.match(/https?:[^\s"<>]+/g) ?? [])]

/** Mail that arrived, and who waits for it. */
export class MailPool implements MailSource {
  readonly messages: string[] = []
  #waiting: (() => void)[] = []

  #ofRegistration(registration: string): string[] {
    return this.messages.filter((message) => header(message, 'Certbook-Registration') === registration)
  }

  /** Resolves to the first message that `find` gives, now or when another one has arrived. */
  #arrival(find: () => string | undefined): Promise<string> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = find()
        if (found === undefined) this.#waiting.push(look)
        else resolve(found)
      }
      look()
    })
  }

  add(message: string): void {
    this.messages.push(message)
    const waiting = this.#waiting
    this.#waiting = []
    for (const look of waiting) look()
  }

  challengesOf(registration: string): number {
    return this.#ofRegistration(registration).length
  }

  challengeOf(registration: string, earlier = 0): Promise<string> {
    return this.#arrival(() => this.#ofRegistration(registration)[earlier])
  }

  arrivalOf(to: string, subject: string, earlier = 0): Promise<string> {
    const fits = (message: string): boolean => header(message, 'To') === to && header(message, 'Subject') === subject
    return this.#arrival(() => this.messages.filter(fits)[earlier])
  }
}

/** The development mail folder of a service. */
export async function watchOutbox(folder: string): Promise<MailSource & { close(): void }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
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
  return {
    challengeOf: (registration, earlier) => pool.challengeOf(registration, earlier),
    challengesOf: (registration) => pool.challengesOf(registration),
    arrivalOf: (to, subject, earlier) => pool.arrivalOf(to, subject, earlier),
    close: () => watcher.close(),
  }
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
