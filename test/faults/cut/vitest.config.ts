import { testCommand } from '../../support/vitest.ts'

/** Tests that never end, for `cut.test.ts` to cut off. */
export default testCommand({ include: ['test/faults/cut/*.endless.ts'], engines: ['sqlite'] })
