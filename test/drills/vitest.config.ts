import { testCommand, testsThatImport } from '../support/vitest.ts'

/**
 * `npm run test:drills`: CAs that fail, long faults, the journeys of administrators, and with all their inputs the tests
 * that `npm test` does with few. They need nothing but npm.
 */
export default testCommand({
  include: [
    'test/{drills,faults,journeys}/**/*.test.ts',
    'test/contract/backup.test.ts',
    'test/client/package.test.ts',
    ...testsThatImport('(?:thorough|runs)', 'thorough'),
  ],
  exclude: ['test/journeys/{node,worker}.test.ts', 'test/faults/kill.test.ts'],
  engines: ['sqlite'],
  thorough: true,
})
