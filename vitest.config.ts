import { defineConfig } from 'vitest/config'

/** Everything that is short and needs no program that npm does not bring; the rest is in `test/peers` and `test/drills`. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/peers/**', 'test/drills/**', 'node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // By itself vitest leaves one core alone, which on a machine of two is half of it.
    maxWorkers: '100%',
  },
})
