import { testCommand } from '../support/vitest.ts'

/** What needs programs that nobody here wrote; each test says which package to install where one is missing. */
export default testCommand({ include: ['test/peers/**/*.test.ts'], engines: ['sqlite'] })
