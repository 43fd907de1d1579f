import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Long drills: CAs that lie, are down for an hour, lose answers or outlive their workers. They need nothing but npm. */
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
