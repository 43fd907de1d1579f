import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { startServer } from './processes.ts'

/** A CA in a process of its own. */
export interface CaProgram {
  readonly port: number
  /** Everything it wrote to standard output and error so far. */
  output(): string
  /** Resolves once it has written something. */
  wrote(text: string): Promise<void>
  stop(): Promise<void>
}

interface Starting {
  readonly program: string
  readonly debianPackage: string
  /** Of a port that nobody has bound right now; where somebody else takes it first, another one is tried. */
  readonly findPort: () => Promise<number>
  readonly args: (port: number) => readonly string[]
  /** Asks it whether it is there; may reject while it is not. */
  readonly isReady: (port: number) => Promise<boolean>
}

const ports = 5
const betweenTries = 50

/** Starts a program that cannot choose its port itself, and waits until it answers. */
export async function startCaProgram(starting: Starting): Promise<CaProgram> {
  const said: string[] = []
  for (let attempt = 0; attempt < ports; attempt += 1) {
    const port = await starting.findPort()
    const child = startServer(starting.program, starting.args(port))
    const more = new EventEmitter()
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        said.push(chunk.toString())
        more.emit('said')
      })
    }
    const ended = exitOf(child, starting)
    if (await answers(child, ended, () => starting.isReady(port))) {
      return {
        port,
        output: () => said.join(''),
        async wrote(text) {
          while (!said.join('').includes(text)) await once(more, 'said')
        },
        async stop() {
          child.kill('SIGKILL')
          await ended
        },
      }
    }
  }
  throw new Error(`${starting.program} does not start:\n${said.join('')}`)
}

async function exitOf(child: ChildProcess, { program, debianPackage }: Starting): Promise<void> {
  try {
    await once(child, 'exit')
  } catch (error) {
    throw new Error(`${program} is missing: install the Debian package ${debianPackage}`, { cause: error })
  }
}

/** False where it has ended instead, as it does when its port was taken. */
async function answers(child: ChildProcess, ended: Promise<void>, isReady: () => Promise<boolean>): Promise<boolean> {
  for (;;) {
    // An answer of a program that has ended is that of another one at the same port.
    const isThere = await isReady().catch(() => false)
    if (child.exitCode !== null || child.signalCode !== null) return false
    if (isThere) return true
    await Promise.race([ended, pause(betweenTries)])
  }
}
