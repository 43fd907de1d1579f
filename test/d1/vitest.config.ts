import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { testCommand } from '../support/vitest.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The files that do all or part of their tests on each of `engines`. */
const onEachEngine = globSync('test/**/*.test.ts', { cwd: root }).filter((file) =>
  /\bengines\b.*from '.*support\/engines\.ts'/s.test(readFileSync(`${root}/${file}`, 'utf8')),
)

/** `npm run test:d1`: the same tests as on SQLite, on D1; and the service as a Worker. They need nothing but npm. */
export default testCommand({ include: [...onEachEngine, 'test/journeys/worker.test.ts'], engines: ['d1'] })
