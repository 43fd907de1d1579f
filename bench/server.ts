import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { serveNode } from '../src/node.ts'
import { testConfig } from '../test/support/node-process.ts'

/**
 * One server of the bench, in a process of its own, steered by its parent over IPC:
 *
 *     node bench/server.ts bare <bytes>        a bare Hono route that answers a body of that size
 *     node bench/server.ts certbook <folder>   the product
 */

/** From the parent. `settle` does what the minute's job would do for every row written until now, and waits for the rest. */
export type Order = 'cpu' | 'settle' | 'stop'

/** To the parent: first where the server listens, then one answer to each order. */
export type Report = { readonly url: string } | { readonly cpuMicroseconds: number } | { readonly done: true }

interface BenchServer {
  readonly url: string
  settle(): Promise<void>
  stop(): Promise<void>
}

const listen = (server: Server): Promise<string> =>
  new Promise((resolve, reject) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('the server has no TCP address'))
      else resolve(`http://127.0.0.1:${address.port}`)
    })
  })

/** The least that a Hono route can do with a lookup: read its JSON, answer as many bytes. */
async function startBare(bytes: number): Promise<BenchServer> {
  const answer = JSON.stringify('x'.repeat(bytes - 2))
  const app = new Hono()
  app.post('/v1/lookups', async (context) => {
    await context.req.json()
    return context.body(answer, 200, { 'Content-Type': 'application/json' })
  })
  const server = createServer({ requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 65_000 })
  const listener = getRequestListener(app.fetch)
  server.on('request', (incoming, outgoing) => void listener(incoming, outgoing))
  return {
    url: await listen(server),
    settle: async () => undefined,
    stop: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The job leaves the youngest rows alone; by this clock, set forward while it runs, no row is young. */
const settledMilliseconds = 11_000

async function startProduct(dataDir: string): Promise<BenchServer> {
  let ahead = 0
  const server = await serveNode(testConfig(dataDir), { clock: () => Date.now() + ahead })
  const moves = server.node.service.jobs.filter((job) => job.name === 'query-log-move')
  return {
    url: server.url,
    settle: async () => {
      ahead = settledMilliseconds
      for (const move of moves) await move.run()
      ahead = 0
      await server.node.settled()
    },
    stop: () => server.stop('the bench has ended'),
  }
}

const report = (message: Report): void => void process.send?.(message)

const cpuMicroseconds = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const [kind, argument = ''] = process.argv.slice(2)
const server = kind === 'bare' ? await startBare(Number(argument)) : await startProduct(argument)

async function obey(order: Order): Promise<void> {
  if (order === 'cpu') return report({ cpuMicroseconds: cpuMicroseconds() })
  if (order === 'settle') await server.settle()
  if (order === 'stop') await server.stop()
  report({ done: true })
  if (order === 'stop') process.disconnect()
}

process.on('message', (order: Order) => void obey(order))
process.once('disconnect', () => process.exit(0))
report({ url: server.url })
