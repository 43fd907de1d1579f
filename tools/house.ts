import { join, resolve } from 'node:path'
import {
  circlesOf,
  fileGraph,
  folderGraph,
  importsBetweenFolders,
  readSources,
  sharedNames,
} from '../test/house/floor-plan.ts'

/** Prints the measures of a source folder: `node tools/house.ts [folder of the project]`. */
const sources = readSources(join(resolve(process.argv[2] ?? '.'), 'src'))
const total = sources.reduce((sum, { lines }) => sum + lines, 0)
const byLength = sources.toSorted((left, right) => left.lines - right.lines)
const largest = byLength.at(-1)
const rooms = new Map<string, number>()
for (const { path, lines } of sources) {
  const room = path.includes('/') ? (path.split('/')[0] ?? '') : '(files of src)'
  rooms.set(room, (rooms.get(room) ?? 0) + lines)
}
const circles = circlesOf(fileGraph(sources))
const knots = circlesOf(folderGraph(sources))
const say = (what: string, value: string | number): boolean => process.stdout.write(`${what.padEnd(28)} ${value}\n`)

say('lines', total)
say('files', sources.length)
say('median file', byLength[Math.floor(byLength.length / 2)]?.lines ?? 0)
say('largest file', `${largest?.lines} (${largest?.path})`)
say('files of 30 lines or fewer', sources.filter(({ lines }) => lines <= 30).length)
say(
  'imports between files',
  sources.reduce((sum, { imports }) => sum + imports.length, 0),
)
say('imports between folders', importsBetweenFolders(sources))
say('circles of files', `${circles.length} (${circles.map(({ length }) => length).join(', ')} files)`)
say('circles of folders', `${knots.length} (${knots.map((knot) => knot.join(' ')).join('; ')})`)
say('function names twice', sharedNames(sources).size)
for (const [room, lines] of [...rooms].toSorted(([, left], [, right]) => right - left)) {
  say(room, `${lines} (${((100 * lines) / total).toFixed(1)} %)`)
}
