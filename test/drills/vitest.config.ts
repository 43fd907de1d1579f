import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** CA integration, and long drills with CAs that fail. They need nothing but npm. */
export default defineConfig({
  root: fileURLToPath(new URL('../../', import.meta.url)),
  test: {
    include: ['test/drills/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: '100%',
  },
})
