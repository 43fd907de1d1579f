import { testCommand } from '../support/vitest.ts'

/** `npm run test:drills`: CAs that fail, long faults, and the journeys of administrators. They need nothing but npm. */
export default testCommand({
  include: ['test/{drills,faults,journeys}/**/*.test.ts'],
  exclude: ['test/journeys/{node,worker}.test.ts', 'test/faults/kill.test.ts'],
  engines: ['sqlite'],
})
