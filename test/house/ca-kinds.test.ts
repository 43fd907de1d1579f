import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { caKinds } from '../../src/api/ca-kinds/all.ts'
import { caKind } from '../../src/api/ca-shapes.ts'
import { adapterKinds } from '../../src/cas/adapters/registry.ts'

const root = join(import.meta.dirname, '../..')
/** The text of a file, without what fetch calls `manual` too. */
const read = (file: string): string => readFileSync(join(root, file), 'utf8').replaceAll(`redirect: 'manual'`, '')

/** To add a CA adapter is to make three files, to add a line to two lists, and to write down what its operator has to know. */
const filesOf = (kind: string): readonly string[] => [
  `src/api/ca-kinds/${kind}.ts`,
  'src/api/ca-kinds/all.ts',
  `src/cas/adapters/${kind}/${kind}.ts`,
  'src/cas/adapters/registry.ts',
  'docs/ca-integration.md',
]
const lists = ['src/api/ca-kinds/all.ts', 'src/cas/adapters/registry.ts']
/** Its examples show two kinds that are there; another kind needs none. */
const showsSome = 'src/api/ca-examples.ts'

const kinds = caKinds.map(({ kind }) => kind)
const spellings = (kind: string): readonly string[] => [
  kind,
  kind.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
]

/** A kind as a text of its own, or in the name of a module. */
const names = (kind: string): RegExp => {
  const words = spellings(kind).join('|')
  return new RegExp(
    String.raw`(['"\x60])(?:${words})\1|/(?:${words})(?:/|\.ts)|\b(?:${words})(?:Settings|Facts|Ca|Example)\b`,
    'i',
  )
}

const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((name) => `src/${name.replaceAll('\\', '/')}`)
  .filter((file) => file.endsWith('.ts'))

describe.each(kinds)('the CA adapter %s', (kind) => {
  it('is one folder, one file of settings, and a line in each of two lists', () => {
    expect(filesOf(kind).filter((file) => !existsSync(join(root, file)))).toEqual([])
    expect(filesOf(kind).length).toBeLessThan(6)
    for (const list of lists) expect(read(list)).toMatch(names(kind))
  })

  it('is named nowhere else in the code, nor in the schema', () => {
    const others = sources.filter(
      (file) => !filesOf(kind).includes(file) && file !== showsSome && !file.startsWith(`src/cas/adapters/${kind}/`),
    )
    expect(others.filter((file) => names(kind).test(read(file)))).toEqual([])
    const schema = readdirSync(join(root, 'db/main')).filter((file) => file.endsWith('.sql'))
    expect(schema.filter((file) => names(kind).test(read(`db/main/${file}`)))).toEqual([])
  })

  it('is described to operators', () => {
    expect(read('docs/ca-integration.md').toLowerCase()).toContain(kind)
  })
})

it('every kind that the API knows has an adapter, and the other way round', () => {
  expect(adapterKinds.map(({ kind }) => kind).toSorted()).toEqual(kinds.toSorted())
  expect(caKind.options.toSorted()).toEqual(['embedded', ...kinds].toSorted())
})
