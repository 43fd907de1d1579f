import { builtinModules } from 'node:module'
import { defineConfig, type OxlintConfig } from 'oxlint'
import { exemptions, isFile, mayImport, mayUseRuntime, runtimePackages, units } from './test/house/order.ts'

// The linter's regular expressions know no lookahead, and one it cannot read is silently without effect;
// test/house/imports.test.ts therefore tries every pair.
const oneOf = (names: readonly string[]): string => `(?:${names.join('|')})`

type Override = NonNullable<OxlintConfig['overrides']>[number]

/** A file that stands `depth` folders below src/ reaches src/ by that many steps up. */
function importRules(unit: string, depth: number): Override {
  const toSource = depth === 0 ? String.raw`\./` : String.raw`(?:\.\./){${depth}}`
  const forbidden = units.filter((to) => !mayImport(unit, to))
  const folders = forbidden.filter((to) => !isFile(to))
  const files = forbidden.filter(isFile)
  const patterns = [
    {
      regex: String.raw`^(?:\.\.?/)+(?:src|test|bench|certs-fixtures)/`,
      message: 'src/ is reached from inside; it knows nothing of the tests, the benchmarks and their fixtures.',
    },
    {
      regex: String.raw`^\./\.\.?/|/\./|//|[^./][^/]*/\.\./|^/|^file:`,
      message: 'Name a module by the shortest relative path, so that the import order can be checked.',
    },
    ...(folders.length === 0
      ? []
      : [
          {
            regex: `^${toSource}${oneOf(folders)}(?:/|$)`,
            message: `Imports run to the right only: ${unit} must not import this room (test/house/order.ts).`,
          },
        ]),
    ...(files.length === 0
      ? []
      : [
          {
            regex: String.raw`^${toSource}${oneOf(files)}(?:\.[cm]?[jt]s)?$`,
            message: `Imports run to the right only: ${unit} must not import this module (test/house/order.ts).`,
          },
        ]),
    ...(mayUseRuntime(unit)
      ? []
      : [
          {
            regex: `^(?:node:|cloudflare:|${oneOf(builtinModules)}(?:/|$))`,
            message: 'Only entries and adapters use what belongs to one runtime; take it through a port.',
          },
          ...runtimePackages.map((name) => {
            const exempt = exemptions[unit]
            const group = [name, `${name}/**`, ...(exempt?.startsWith(`${name}/`) ? [`!${exempt}`] : [])]
            return {
              group,
              message: 'Only entries and adapters use what belongs to one runtime; take it through a port.',
            }
          }),
        ]),
  ]
  const below = '*/'.repeat(Math.max(0, depth - 1))
  return {
    files: [isFile(unit) ? `src/${unit}.ts` : `src/${unit}/${below}*.ts`],
    rules: { 'no-restricted-imports': ['error', { patterns }] },
  }
}

const importOrder = units.flatMap((unit) =>
  isFile(unit) ? [importRules(unit, 0)] : [1, 2, 3].map((depth) => importRules(unit, depth)),
)

const runtimeGlobals = ['process', 'Buffer', 'global', 'require', '__dirname', '__filename', 'setImmediate'].map(
  (name) => ({ name, message: 'Only entries and adapters use what belongs to one runtime; take it through a port.' }),
)

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise'],
  categories: { correctness: 'error', suspicious: 'error' },
  options: { reportUnusedDisableDirectives: 'error' },
  ignorePatterns: ['node_modules/**', '.wrangler/**', 'dist/**', 'data/**'],
  rules: {
    // promises
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/prefer-promise-reject-errors': 'error',
    // types that tell the truth
    'typescript/no-explicit-any': 'error',
    'typescript/ban-ts-comment': 'error',
    'typescript/no-unsafe-type-assertion': 'error',
    'typescript/no-unsafe-argument': 'error',
    'typescript/no-unsafe-assignment': 'error',
    'typescript/no-unsafe-call': 'error',
    'typescript/no-unsafe-member-access': 'error',
    'typescript/no-unsafe-return': 'error',
    'typescript/no-unsafe-function-type': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    // An import('…') in a type would pass by the import order.
    'typescript/consistent-type-imports': ['error', { disallowTypeAnnotations: true, fixStyle: 'inline-type-imports' }],
    // modules
    'import/no-cycle': ['error', { ignoreTypes: false }],
    'import/no-commonjs': 'error',
    'import/no-unassigned-import': ['error', { allow: ['reflect-metadata'] }],
    // plain sense
    eqeqeq: 'error',
    'no-console': 'error',
    'no-var': 'error',
    'prefer-const': 'error',

    // Off: they speak of style, or of a world that is not this one.
    'no-control-regex': 'off', // control characters in addresses and headers are looked for on purpose
    'no-shadow': 'off',
    'no-underscore-dangle': 'off',
    'import/no-named-as-default': 'off',
    'import/no-named-as-default-member': 'off',
    'oxc/no-async-endpoint-handlers': 'off', // Express; here handlers are async
    'promise/always-return': 'off',
    'typescript/consistent-return': 'off', // the compiler knows when a switch names every case
    'typescript/no-unnecessary-type-arguments': 'off',
    'typescript/no-unnecessary-type-parameters': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/require-post-message-target-origin': 'off', // windows; here it is worker threads
  },
  overrides: [
    ...importOrder,
    {
      files: ['src/**'],
      rules: { 'max-params': ['error', { max: 4 }], 'import/no-cycle': ['error', { ignoreTypes: false }] },
    },
    {
      files: ['src/**'],
      excludeFiles: units.filter(mayUseRuntime).map((unit) => (isFile(unit) ? `src/${unit}.ts` : `src/${unit}/**`)),
      rules: { 'no-restricted-globals': ['error', ...runtimeGlobals] },
    },
    {
      files: ['src/pki/**'],
      rules: {
        'no-restricted-globals': [
          'error',
          ...runtimeGlobals,
          { name: 'crypto', message: 'pki takes a Crypto, never a global.' },
        ],
      },
    },
    {
      files: ['test/**', 'bench/**', 'certs-fixtures/**', 'src/cli.ts', 'src/commands/**', 'src/worker.ts'],
      rules: { 'no-console': 'off' },
    },
    {
      // A test reads answers of unknown shape and says with an assertion what it expects of them.
      files: ['test/**'],
      plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise', 'vitest'],
      rules: {
        'typescript/no-unsafe-type-assertion': 'off',
        'typescript/no-unsafe-argument': 'off',
        'typescript/no-unsafe-assignment': 'off',
        'typescript/no-unsafe-member-access': 'off',
        'typescript/no-unsafe-call': 'off',
        'typescript/no-unsafe-return': 'off',
        'vitest/no-focused-tests': 'error',
        'vitest/no-disabled-tests': 'error',
        'vitest/expect-expect': 'off',
        'vitest/no-conditional-expect': 'off',
        'vitest/no-conditional-tests': 'off',
        'vitest/no-standalone-expect': 'off',
        'vitest/require-mock-type-parameters': 'off',
        'vitest/valid-title': 'off',
      },
    },
  ],
})
