import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import type { Engine } from './engines.ts'

/** How long a test may take before it is certain that it hangs. No test is measured against it. */
export const lastResortMilliseconds = 10 * 60_000

/** The settings that all commands of the tests share. */
export const testCommand = (which: {
  include: readonly string[]
  exclude?: readonly string[]
  engines: readonly Engine[]
}): ViteUserConfig =>
  defineConfig({
    root: fileURLToPath(new URL('../../', import.meta.url)),
    test: {
      include: [...which.include],
      exclude: [...(which.exclude ?? [])],
      env: { TEST_ENGINES: which.engines.join(',') },
      testTimeout: lastResortMilliseconds,
      hookTimeout: lastResortMilliseconds,
      teardownTimeout: lastResortMilliseconds,
      pool: 'forks',
      // By itself vitest leaves one core alone, which on a machine of two is half of it.
      maxWorkers: '100%',
    },
  })
