import type { D1Binding } from '../../src/adapters/d1.ts'
import type { AskedD1 } from './local-d1.ts'

type Statement = AskedD1['statements'][number]

const prepare = (session: Pick<D1Binding, 'prepare'>, { text, values }: Statement) =>
  session.prepare(text).bind(...values.map((value) => (Array.isArray(value) ? Uint8Array.from(value) : value)))

async function answer(database: D1Binding, { session, statements, batch }: AskedD1): Promise<unknown> {
  if (batch) return database.batch(statements.map((statement) => prepare(database, statement)))
  const [statement] = statements
  if (statement === undefined) throw new TypeError('nothing is asked')
  return (await prepare(session === null ? database : database.withSession(session), statement).all()).results
}

/** The Worker beside which D1 runs in tests. It calls the binding as it is told. */
export default {
  fetch: async (request: Request, environment: Readonly<Record<string, D1Binding | undefined>>): Promise<Response> => {
    const asked: AskedD1 = await request.json()
    const database = environment[asked.binding]
    if (database === undefined) throw new TypeError(`there is no ${asked.binding}`)
    try {
      return Response.json({ results: await answer(database, asked) })
    } catch (error) {
      return Response.json({ failed: error instanceof Error ? error.message : String(error) })
    }
  },
}
