import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { D1Binding } from '../../src/adapters/d1.ts'
import { childrenCalled, endWithTests } from './processes.ts'

/** What the Worker is told: one statement, or a batch. Bytes are lists of numbers. */
export interface AskedD1 {
  readonly binding: string
  readonly session: Parameters<D1Binding['withSession']>[0] | null
  readonly batch: boolean
  readonly statements: readonly { readonly text: string; readonly values: readonly unknown[] }[]
}

type Statement = ReturnType<D1Binding['prepare']>

const rows = z.object({ results: z.array(z.record(z.string(), z.unknown())) })
const changes = z.object({ results: z.array(z.object({ meta: z.object({ changes: z.number() }) })) })
const failed = z.object({ failed: z.string() })
const deployment = z.object({
  compatibility_date: z.string(),
  d1_databases: z.array(z.object({ binding: z.string(), database_id: z.string() })),
})

/** A statement that is sent when it is needed. */
class ForwardedStatement {
  readonly text: string
  readonly values: readonly unknown[]
  readonly #send: (statement: ForwardedStatement) => Promise<z.infer<typeof rows>>

  constructor(
    text: string,
    values: readonly unknown[],
    send: (statement: ForwardedStatement) => Promise<z.infer<typeof rows>>,
  ) {
    this.text = text
    this.values = values
    this.#send = send
  }

  bind(...values: readonly unknown[]): ForwardedStatement {
    return new ForwardedStatement(this.text, values, this.#send)
  }

  all(): Promise<z.infer<typeof rows>> {
    return this.#send(this)
  }
}

const requireForwarded = (statement: Statement): ForwardedStatement => {
  if (statement instanceof ForwardedStatement) return statement
  throw new TypeError('a statement of another binding')
}

const inWords = ({ text, values }: ForwardedStatement) => ({
  text,
  values: values.map((value) => (value instanceof Uint8Array ? [...value] : value)),
})

/** The binding of one database of a Worker at `url`. */
function forwardedBinding(url: URL, binding: string): D1Binding {
  const ask = async <T>(answer: z.ZodType<T>, asked: Omit<AskedD1, 'binding'>): Promise<T> => {
    const body = JSON.stringify({ binding, ...asked } satisfies AskedD1)
    const response = await fetch(url, { method: 'POST', body })
    const told: unknown = await response.json()
    const failure = failed.safeParse(told)
    if (failure.success) throw new Error(failure.data.failed)
    return answer.parse(told)
  }
  const preparing = (session: AskedD1['session']) => ({
    prepare: (text: string) =>
      new ForwardedStatement(text, [], (statement) =>
        ask(rows, { session, batch: false, statements: [inWords(statement)] }),
      ),
  })
  return {
    ...preparing(null),
    withSession: preparing,
    batch: async (statements) => {
      const forwarded = statements.map((statement) => inWords(requireForwarded(statement)))
      return (await ask(changes, { session: null, batch: true, statements: forwarded })).results
    },
  }
}

export interface LocalD1 {
  /** By their names in wrangler.toml. */
  readonly bindings: Readonly<Record<string, D1Binding>>
  close(): Promise<void>
}

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/**
 * D1 as wrangler.toml has it, on this machine, with nothing kept on disk. It takes a second. A Worker beside it forwards
 * each call in one message: through wrangler's platform proxy each `prepare` and `bind` is one of its own, for which the
 * whole process waits.
 */
export async function startLocalD1(): Promise<LocalD1> {
  // Imported here, since they are large and a run on SQLite needs nothing of them.
  const [{ Miniflare }, { unstable_readConfig: readConfig }] = await Promise.all([
    import('miniflare'),
    import('wrangler'),
  ])
  const { compatibility_date: compatibilityDate, d1_databases: databases } = deployment.parse(
    readConfig({ config: fileOf('../../wrangler.toml') }),
  )
  const contents = stripTypeScriptTypes(await readFile(fileOf('d1-worker.ts'), 'utf8'))
  const worker = new Miniflare({
    workers: [
      {
        config: {
          name: 'd1',
          compatibilityDate,
          env: Object.fromEntries(databases.map(({ binding, database_id: id }) => [binding, { type: 'd1', id }])),
          manifest: { mainModule: 'worker.js', modules: { 'worker.js': { type: 'esm', contents } } },
        },
        dev: { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] },
      },
    ],
  })
  const url = await worker.unsafeGetDirectURL()
  const releases = (await childrenCalled('workerd')).map(endWithTests)
  return {
    bindings: Object.fromEntries(databases.map(({ binding }) => [binding, forwardedBinding(url, binding)])),
    close: async () => {
      await worker.dispose()
      for (const release of releases) release()
    },
  }
}
