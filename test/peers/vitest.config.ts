import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** What needs programs that nobody here wrote; each test says which package to install where one is missing. */
export default defineConfig({
  root: fileURLToPath(new URL('../../', import.meta.url)),
  test: {
    include: ['test/peers/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
})
