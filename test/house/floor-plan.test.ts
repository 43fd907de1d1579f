import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { circlesOf, fileGraph, folderGraph, readSources, sharedNames } from './floor-plan.ts'

const root = join(import.meta.dirname, '../..')
const sources = readSources(join(root, 'src'))

/** Functions of one name in several files, and why that misleads nobody. */
const sameName: Readonly<Record<string, string>> = {
  readSigned: 'an adapter reads the answers of its own CA',
  readRefusal: 'an adapter reads the answers of its own CA',
}

describe('the floor plan', () => {
  it('reads the house', () => {
    expect(sources.length).toBeGreaterThan(300)
    expect(sources.find(({ path }) => path === 'service.ts')?.imports).toContain('cas/room.ts')
    expect(sources.flatMap(({ functions }) => functions)).toContain('createService')
  })

  it('has no circle of files, types included', () => {
    expect(circlesOf(fileGraph(sources))).toEqual([])
  })

  it('has no knot of folders, at any depth', () => {
    expect(circlesOf(folderGraph(sources))).toEqual([])
  })

  it('has no two functions of one name that do different things', () => {
    expect([...sharedNames(sources)].filter(([name]) => !(name in sameName))).toEqual([])
  })

  it('excuses no name that only one file has', () => {
    const shared = sharedNames(sources)
    expect(Object.keys(sameName).filter((name) => !shared.has(name))).toEqual([])
  })
})

describe('the floor plan itself', () => {
  const source = (path: string, ...imports: string[]) => ({ path, lines: 1, imports, functions: [] })

  it('finds a circle of files, and what only leads to it is none', () => {
    const graph = fileGraph([source('a.ts', 'b.ts'), source('b.ts', 'c.ts'), source('c.ts', 'b.ts')])
    expect(circlesOf(graph)).toEqual([['b.ts', 'c.ts']])
  })

  it('finds a knot of folders whose files make no circle', () => {
    const knotted = [source('room/a/1.ts', 'room/b/1.ts'), source('room/b/2.ts', 'room/a/2.ts')]
    expect(circlesOf(fileGraph(knotted))).toEqual([])
    expect(circlesOf(folderGraph(knotted))).toEqual([['room/a', 'room/b']])
  })

  it('takes a file beside a folder for no neighbour of it', () => {
    const around = [source('room/room.ts', 'room/a/1.ts'), source('room/a/1.ts', 'room/deps.ts')]
    expect(circlesOf(folderGraph(around))).toEqual([])
  })

  it('reads functions in both forms, and constants that are none', () => {
    const name = sources.find(({ path }) => path === 'ports/schema.ts')
    expect(name?.functions).toEqual(expect.arrayContaining(['requireWritable', 'pendingMigrations', 'readColumns']))
    expect(name?.functions).not.toContain('knownMigrations')
  })
})
