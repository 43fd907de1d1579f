import { cp } from 'node:fs/promises'
import { startProcess } from '../test/support/node-process.ts'
import type { Part } from './figures.ts'
import { lookUpOnce } from './lookups.ts'
import { memoryOf } from './proc.ts'
import type { Stock, StockFolder } from './stock.ts'

/** From the start of `certbook serve` over existing data. */
interface Start {
  readonly readyMilliseconds: number
  readonly answerMilliseconds: number
  /** What it takes then. */
  readonly megabytes: number
}

async function measureStart(dataDir: string, stock: Stock): Promise<Start> {
  const before = performance.now()
  const service = await startProcess(dataDir)
  try {
    const ready = await fetch(`${service.url}/readyz`)
    if (ready.status !== 200) throw new Error(`the service is not ready: ${await ready.text()}`)
    const readyMilliseconds = performance.now() - before
    await lookUpOnce(service.url, stock)
    const answerMilliseconds = performance.now() - before
    const { now } = await memoryOf(service.child.pid ?? 0)
    return { readyMilliseconds, answerMilliseconds, megabytes: now }
  } finally {
    await service.end('SIGTERM')
  }
}

/** Starts the service some times over a copy of a stock. */
export async function measureStarts({ stock, dataDir }: StockFolder, copy: string, rounds: number): Promise<Part> {
  await cp(dataDir, copy, { recursive: true })
  const starts: Start[] = []
  for (let round = 0; round < rounds; round += 1) starts.push(await measureStart(copy, stock))
  const each = (read: (start: Start) => number): number[] => starts.map(read)
  return {
    words: [`Start with ${stock.subscribers} published certificates.`],
    figures: [
      {
        name: 'start to /readyz',
        unit: 'ms',
        values: each(({ readyMilliseconds }) => readyMilliseconds),
        digits: 0,
        aim: { text: 'under 1200', met: (value) => value < 1_200 },
      },
      {
        name: 'start to the first answered lookup',
        unit: 'ms',
        values: each(({ answerMilliseconds }) => answerMilliseconds),
        digits: 0,
      },
      { name: 'memory then', unit: 'MB', values: each(({ megabytes }) => megabytes), digits: 0 },
    ],
  }
}
