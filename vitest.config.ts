import { testCommand } from './test/support/vitest.ts'

/** `npm test`: what a change can break, in a minute and a half, with nothing but npm. */
export default testCommand({
  include: [
    'test/{client,contract,house,rooms,standards}/**/*.test.ts',
    'test/journeys/node.test.ts',
    'test/faults/kill.test.ts',
  ],
  // They take their time: test/drills/vitest.config.ts has them.
  exclude: ['test/contract/backup.test.ts', 'test/client/package.test.ts'],
  engines: ['sqlite'],
  shareModules: true,
})
