import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import type { Engine } from './engines.ts'
import { lastResortMilliseconds } from './last-resort.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The test files that import a name from a module of `test/support`. */
export const testsThatImport = (name: string, module: string): string[] => {
  const imported = new RegExp(String.raw`\{[^}]*\b${name}\b[^}]*\} from '\.\./support/${module}\.ts'`)
  return globSync('test/**/*.test.ts', { cwd: root }).filter((file) =>
    imported.test(readFileSync(`${root}/${file}`, 'utf8')),
  )
}

/** The settings that all commands of the tests share. */
export const testCommand = (which: {
  include: readonly string[]
  exclude?: readonly string[]
  engines: readonly Engine[]
  /** See `thorough.ts`. */
  thorough?: boolean
  /** Files share what they import in one process. It is for files that change nothing in it. */
  shareModules?: boolean
}): ViteUserConfig =>
  defineConfig({
    root,
    test: {
      include: [...which.include],
      exclude: [...(which.exclude ?? [])],
      env: {
        TEST_ENGINES: which.engines.join(','),
        TEST_THOROUGH: which.thorough === true ? 'yes' : 'no',
        // Threads and processes that Node runs from TypeScript are compiled once, not at each start.
        NODE_COMPILE_CACHE: `${root}node_modules/.cache/node`,
      },
      testTimeout: lastResortMilliseconds,
      hookTimeout: lastResortMilliseconds,
      teardownTimeout: lastResortMilliseconds,
      expect: { poll: { timeout: lastResortMilliseconds } },
      pool: 'forks',
      isolate: which.shareModules !== true,
      // By itself vitest leaves one core alone, which on a machine of two is half of it.
      maxWorkers: '100%',
    },
  })
