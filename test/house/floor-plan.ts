import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'

/** One file of `src/`: its path from there, its length, and the files of `src/` that it imports, types included. */
export interface Source {
  readonly path: string
  readonly lines: number
  readonly imports: readonly string[]
  /** The functions that it exports. */
  readonly functions: readonly string[]
}

const importPattern = /(?:\bfrom|\bimport|\bimport\()\s*'(\.{1,2}\/[^']+)'/g
const functionPattern =
  /^export (?:async )?function\*? (\w+)|^export const (\w+)(?:: [^=\n]+)? =(?:\s+async)?\s*(?:<[^>]*>)?\([^)]*\)[^=\n;]*=>/gm

/** All files of a source folder. */
export function readSources(folder: string): Source[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return names.toSorted().map((name) => {
    const text = readFileSync(join(folder, name), 'utf8')
    const path = relative(folder, join(folder, name))
    const imports = Array.from(text.matchAll(importPattern), ([, to = '']) => posix.join(dirname(path), to))
    const functions = Array.from(text.matchAll(functionPattern), ([, named, constant]) => named ?? constant ?? '')
    return { path, lines: text.split('\n').length - 1, imports: [...new Set(imports)], functions }
  })
}

/** A directed graph: to each node the nodes that it leads to. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>

/** The circles of a graph: each largest set of nodes, two at least, in which every node leads to every other. */
export function circlesOf(graph: Graph): string[][] {
  const reach = new Map([...graph.keys()].map((from) => [from, reachedFrom(graph, from)] as const))
  const circles: string[][] = []
  const seen = new Set<string>()
  for (const [node, reached] of reach) {
    if (seen.has(node) || !reached.has(node)) continue
    const circle = [...reached].filter((other) => reach.get(other)?.has(node) === true).toSorted()
    for (const member of circle) seen.add(member)
    if (circle.length > 1) circles.push(circle)
  }
  return circles
}

function reachedFrom(graph: Graph, from: string): Set<string> {
  const reached = new Set<string>()
  const waiting = [...(graph.get(from) ?? [])]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (reached.has(next)) continue
    reached.add(next)
    waiting.push(...(graph.get(next) ?? []))
  }
  return reached
}

/** The imports between files. */
export const fileGraph = (sources: readonly Source[]): Graph =>
  new Map(sources.map(({ path, imports }) => [path, new Set(imports)]))

/** The imports between the folders of one folder, at every depth: `cas/adapters` to `cas/inside`, `requests` to `cas`. */
export function folderGraph(sources: readonly Source[]): Graph {
  const graph = new Map<string, Set<string>>()
  for (const { path, imports } of sources) {
    const own = path.split('/')
    for (const imported of imports) {
      const other = imported.split('/')
      const fork = own.findIndex((part, index) => part !== other[index])
      // A file beside the folder belongs to what is around it, not to a neighbour.
      if (fork === own.length - 1 || fork === other.length - 1) continue
      const from = own.slice(0, fork + 1).join('/')
      graph.set(from, (graph.get(from) ?? new Set()).add(other.slice(0, fork + 1).join('/')))
    }
  }
  return graph
}

/** How many pairs of folders there are of which one holds a file that imports a file of the other. */
export const importsBetweenFolders = (sources: readonly Source[]): number =>
  new Set(
    sources.flatMap(({ path, imports }) =>
      imports.flatMap((imported) =>
        dirname(path) === dirname(imported) ? [] : [`${dirname(path)} ${dirname(imported)}`],
      ),
    ),
  ).size

/** The names of functions that more than one file exports, each with its files. */
export function sharedNames(sources: readonly Source[]): Map<string, string[]> {
  const files = new Map<string, string[]>()
  for (const { path, functions } of sources) {
    for (const name of functions) files.set(name, [...(files.get(name) ?? []), path])
  }
  return new Map([...files].filter(([, paths]) => paths.length > 1))
}
