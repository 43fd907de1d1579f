import { testCommand, testsThatImport } from '../support/vitest.ts'

/** `npm run test:d1`: the same tests as on SQLite, on D1; and the service as a Worker. They need nothing but npm. */
export default testCommand({
  include: [...testsThatImport('engines', 'engines'), 'test/journeys/worker.test.ts'],
  engines: ['d1'],
  shareModules: true,
})
