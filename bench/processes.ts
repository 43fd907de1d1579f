import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Order } from './server.ts'

const script = fileURLToPath(new URL('./server.ts', import.meta.url))

const packageFile = z.object({ scripts: z.object({ start: z.string() }) })

/** The options of Node with which `npm start` starts the product. */
const startOptions = (): string[] => {
  const { scripts } = packageFile.parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')))
  return scripts.start.split(' ').filter((word) => word.startsWith('--'))
}

const urlReport = z.object({ url: z.string() })
const cpuReport = z.object({ cpuMicroseconds: z.number() })

/** One server of the bench in a process of its own. */
export class ServerProcess {
  readonly url: string
  readonly pid: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
    if (child.pid === undefined) throw new Error('a server of the bench has no number')
    this.pid = child.pid
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  static async start(kind: 'bare' | 'certbook', argument: string): Promise<ServerProcess> {
    const child = fork(script, [kind, argument], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: kind === 'certbook' ? startOptions() : [],
    })
    return new ServerProcess(child, urlReport.parse(await reportOf(child)).url)
  }

  /** CPU time of all its threads so far, in microseconds. */
  async cpuMicroseconds(): Promise<number> {
    return cpuReport.parse(await this.#obey('cpu')).cpuMicroseconds
  }

  /** Runs the minute's job over every row that was logged, and waits for work in the background. */
  async settle(): Promise<void> {
    await this.#obey('settle')
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    if (this.#child.connected) this.#child.send('stop' satisfies Order)
    const impatient = setTimeout(() => this.#child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(impatient)
  }

  #obey(order: Order): Promise<unknown> {
    const report = reportOf(this.#child)
    this.#child.send(order)
    return report
  }
}

/** The next thing that a child says; rejects where it ends instead. */
export function reportOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('a server of the bench has ended before its time'))
    child.once('exit', ended)
    child.once('message', (message: unknown) => {
      child.off('exit', ended)
      resolve(message)
    })
  })
}
