import { defineConfig } from 'vitest/config'

/** Everything that needs no program that npm does not bring; the rest is in `test/peers`. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/peers/**', 'node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // By itself vitest leaves one core alone, which on a machine of two is half of it.
    maxWorkers: '100%',
  },
})
