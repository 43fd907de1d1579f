import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entries, exemptions, isFile, mayImport, mayUseRuntime, runtimePackages, units } from './order.ts'

const root = join(import.meta.dirname, '../..')

interface Line {
  readonly code: string
  readonly allowed: boolean
}

/** One scratch file of the house, an import on each line, and which of them the linter must refuse. */
interface Scratch {
  readonly file: string
  readonly lines: readonly Line[]
}

const moduleOf = (unit: string): string => (isFile(unit) ? `${unit}.ts` : `${unit}/some.ts`)

/** Where a unit's files stand, with the way from each up to src/. */
const placesOf = (unit: string): (readonly [file: string, up: string])[] =>
  isFile(unit)
    ? [[`src/${unit}.ts`, './']]
    : [
        [`src/${unit}/verbs.ts`, '../'],
        [`src/${unit}/part/verbs.ts`, '../../'],
        [`src/${unit}/part/piece/verbs.ts`, '../../../'],
      ]

/** The ways in which one module can lean on another; `n` keeps the names of a file apart. */
const forms: readonly ((from: string, n: number) => string)[] = [
  (from, n) => `import { some${n} } from '${from}'`,
  (from, n) => `import type { Some${n} } from '${from}'`,
  (from, n) => `import { type Other${n} } from '${from}'`,
  (from, n) => `export { again${n} } from '${from}'`,
  (from, n) => `export type { Again${n} } from '${from}'`,
  (from) => `export * from '${from}'`,
  (from) => `void import('${from}')`,
]

function everyPair(): Scratch[] {
  return units.flatMap((unit) =>
    placesOf(unit).map(([file, up]) => ({
      file,
      lines: units
        .filter((other) => other !== unit)
        .map((other, index) => {
          const form = forms[index % forms.length] ?? String
          return { code: form(up + moduleOf(other), index), allowed: mayImport(unit, other) }
        }),
    })),
  )
}

/** One forbidden neighbour in every form of import, and in roundabout ways of naming it. */
const everyForm: Scratch = {
  file: 'src/registration/forms.ts',
  lines: [
    ...forms.map((form, index) => ({ code: form('../directory/store.ts', index), allowed: false })),
    { code: `import '../directory/effect.ts'`, allowed: false },
    { code: `export type Hidden = import('../directory/store.ts').Hidden`, allowed: false },
    { code: `import { a } from './../directory/store.ts'`, allowed: false },
    { code: `import { b } from '../ports/../directory/store.ts'`, allowed: false },
    { code: `import { c } from '.././directory/store.ts'`, allowed: false },
    { code: `import { d } from '..//directory/store.ts'`, allowed: false },
    { code: `import { e } from '../../src/directory/store.ts'`, allowed: false },
    { code: `import { f } from '../directory'`, allowed: false },
    { code: `import { g } from '/srv/src/directory/store.ts'`, allowed: false },
    { code: `import { h } from 'file:///srv/src/directory/store.ts'`, allowed: false },
    { code: `import { i } from './directory/own.ts'`, allowed: true },
    { code: `import { j } from './directory.ts'`, allowed: true },
    { code: `import { k } from '../mailbox/address.ts'`, allowed: true },
    { code: `import { l } from 'zod'`, allowed: true },
  ],
}

const runtimeModules = [
  'node:fs',
  'node:crypto',
  'node:sqlite',
  'fs',
  'fs/promises',
  'crypto',
  'cloudflare:workers',
  ...runtimePackages,
  'nodemailer/lib/smtp-transport/index.js',
  'nodemailer/lib/mail-composer/index.js',
]

function everyRuntime(): Scratch[] {
  return units.map((unit) => ({
    file: isFile(unit) ? `src/${unit}.ts` : `src/${unit}/runtime.ts`,
    lines: runtimeModules.map((name, index) => ({
      code: index % 2 === 0 ? `import run${index} from '${name}'` : `import type { Run${index} } from '${name}'`,
      allowed: mayUseRuntime(unit) || exemptions[unit] === name,
    })),
  }))
}

function everyOutside(): Scratch[] {
  return units.map((unit) => {
    const [file, up] = placesOf(unit)[0] ?? ['', '']
    const top = isFile(unit) ? '../' : `../${up}`
    return {
      file: file.replace('verbs', 'outside'),
      lines: ['test/house/order.ts', 'bench/run.ts', 'certs-fixtures/make.ts'].map((path, index) => ({
        code: `import { out${index} } from '${top}${path}'`,
        allowed: false,
      })),
    }
  })
}

/** The scratch files by name; a unit that is one file has all its lines in it. */
function gathered(): Map<string, Line[]> {
  const byFile = new Map<string, Line[]>()
  for (const { file, lines } of [...everyPair(), everyForm, ...everyRuntime(), ...everyOutside()]) {
    byFile.set(file, [...(byFile.get(file) ?? []), ...lines])
  }
  return byFile
}

interface Diagnostic {
  readonly filename: string
  readonly code?: string
  readonly labels: readonly { readonly span: { readonly line: number } }[]
}

describe('the import order', () => {
  const scratch = gathered()
  const refused = new Map<string, Set<number>>()
  const cycles: string[] = []
  let folder = ''

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'certbook-house-'))
    const write = (file: string, text: string): void => {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
    for (const [file, lines] of scratch) write(file, `${lines.map(({ code }) => code).join('\n')}\n`)
    write('src/pki/one.ts', `import { two } from './two.ts'\nexport const one = (): unknown => two\n`)
    write('src/pki/two.ts', `import { one } from './one.ts'\nexport const two = (): unknown => one\n`)
    // The patterns of a configuration are taken from its own folder, so this one says the same for the scratch tree.
    const config = JSON.stringify(pathToFileURL(join(root, 'oxlint.config.ts')).href)
    write('oxlint.config.ts', `export { default } from ${config}\n`)
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')

    const linter = join(root, 'node_modules/oxlint/bin/oxlint')
    const run = spawnSync(process.execPath, [linter, '--format=json', 'src'], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    })
    if (!run.stdout.trimStart().startsWith('{')) throw new Error(`the linter said: ${run.stdout}${run.stderr}`)
    const { diagnostics } = JSON.parse(run.stdout) as { readonly diagnostics: readonly Diagnostic[] }
    for (const { filename, code, labels } of diagnostics) {
      const file = filename.replaceAll('\\', '/')
      if (code === undefined) throw new Error(`the linter could not read ${file}`)
      if (code === 'import(no-cycle)') cycles.push(file)
      // The second rule is the one that sees an import('…') in a type.
      if (code !== 'eslint(no-restricted-imports)' && !code.endsWith('(consistent-type-imports)')) continue
      const lines = refused.get(file) ?? new Set()
      for (const { span } of labels) lines.add(span.line)
      refused.set(file, lines)
    }
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each([...scratch.keys()])('holds in %s', (file) => {
    const lines = scratch.get(file) ?? []
    const found = refused.get(file) ?? new Set()
    const reported = lines.filter((_line, index) => found.has(index + 1)).map(({ code }) => code)
    expect(reported).toEqual(lines.filter(({ allowed }) => !allowed).map(({ code }) => code))
  })

  it('has no cycle within a room either', () => {
    expect(cycles).toContain('src/pki/one.ts')
    expect(cycles).toContain('src/pki/two.ts')
  })

  it('says what the design says', () => {
    const refusedPairs: readonly (readonly [string, string])[] = [
      ['registration', 'requests'],
      ['certificates', 'requests'],
      ['cas', 'certificates'],
      ['mail', 'audit'],
      ['query-log', 'consent'],
      ['admin', 'privacy'],
      ['privacy', 'standards'],
      ['pki', 'api'],
      ['mailbox', 'pki'],
      ['ports', 'mailbox'],
      ['errors', 'events'],
      ['adapters', 'mailbox'],
      ['service', 'adapters'],
      ['app', 'service'],
      ['directory', 'config'],
      ['registration', 'problem'],
      ['client', 'ports'],
      ['config', 'problem'],
      ['admin', 'client'],
      ['worker', 'node'],
    ]
    const allowedPairs: readonly (readonly [string, string])[] = [
      ['node', 'adapters'],
      ['cli', 'node'],
      ['worker', 'service'],
      ['service', 'config'],
      ['app', 'problem'],
      ['admin', 'directory'],
      ['requests', 'registration'],
      ['requests', 'certificates'],
      ['certificates', 'cas'],
      ['registration', 'audit'],
      ['consent', 'api'],
      ['adapters', 'ports'],
      ['client', 'mailbox'],
    ]
    for (const [from, to] of refusedPairs) expect(mayImport(from, to), `${from} -> ${to}`).toBe(false)
    for (const [from, to] of allowedPairs) expect(mayImport(from, to), `${from} -> ${to}`).toBe(true)
    expect(entries).toContain('worker')
  })

  it('names all that stands in src/, and rooms are no deeper than the linter looks', () => {
    const source = readdirSync(join(root, 'src'), { withFileTypes: true })
    const unknown = source.filter((item) =>
      item.isDirectory()
        ? !units.includes(item.name) || isFile(item.name)
        : !units.includes(item.name.replace(/\.ts$/, '')) || !isFile(item.name.replace(/\.ts$/, '')),
    )
    expect(unknown.map(({ name }) => name)).toEqual([])
    const paths = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    expect(paths.filter((path) => path.split(/[\\/]/).length > 4)).toEqual([])
  })
})
