import type BetterSqlite3 from 'better-sqlite3'
import { mayImport } from './order.ts'

/** What is wrong with a statement, or with where it stands. */
export type Rule =
  | 'sql-outside-store'
  | 'sql-not-a-literal'
  | 'sql-not-in-call'
  | 'several-statements'
  | 'writes-foreign-table'
  | 'reads-foreign-table'
  | 'undeclared-table'
  | 'shadowed-table'
  | 'insert-without-columns'
  | 'insert-or'
  | 'select-star'
  | 'returning-star'
  | 'like'
  | 'placeholder'
  | 'too-many-parameters'
  | 'does-not-prepare'
  | 'full-scan'

export interface Fault {
  readonly file: string
  readonly line: number
  readonly rule: Rule
  readonly detail: string
}

// --- literals of a TypeScript source ---------------------------------------------------------------------------

export interface Literal {
  readonly kind: 'string' | 'template'
  /** As written between the quotes; an interpolation stands as `${}`. */
  readonly text: string
  readonly line: number
  readonly interpolated: boolean
  /** The function whose argument it is, directly and whole; null where it is anything else. */
  readonly argumentOf: string | null
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const wordsBeforeRegex = new Set(['return', 'typeof', 'case', 'in', 'of', 'do', 'else', 'void', 'delete', 'await'])

/** Finds the string and template literals of a source; knows comments, regular expressions and nesting. */
export function literalsOf(source: string): Literal[] {
  const literals: Literal[] = []
  /** Every open bracket, with the word before it; a template's `${` is one too. */
  const open: { bracket: string; word: string; template: Writable<Literal> | null }[] = []
  let unclosed: Writable<Literal> | null = null
  let previous = ''
  let at = 0
  let line = 1

  const take = (count: number): string => {
    const taken = source.slice(at, at + count)
    line += taken.split('\n').length - 1
    at += count
    return taken
  }
  const endOf = (needle: string, from: number): number => {
    const found = source.indexOf(needle, from)
    return found < 0 ? source.length : found + needle.length
  }
  /** The token just met decides whether the literal before it was a whole argument. */
  const meet = (token: string): void => {
    if (unclosed !== null && token !== ',' && token !== ')') unclosed.argumentOf = null
    unclosed = null
    previous = token
  }
  const begin = (kind: Literal['kind']): Writable<Literal> => {
    const around = open.at(-1)
    const whole = around?.bracket === '(' && (previous === '(' || previous === ',')
    const literal = { kind, text: '', line, interpolated: false, argumentOf: whole ? around.word : null }
    meet(kind)
    literals.push(literal)
    return literal
  }
  const readTemplate = (literal: Writable<Literal>): void => {
    while (at < source.length) {
      if (source[at] === '\\') literal.text += take(2)
      else if (source.startsWith('${', at)) {
        take(2)
        literal.interpolated = true
        literal.text += '${}'
        open.push({ bracket: '${', word: '', template: literal })
        previous = '{'
        return
      } else if (source[at] === '`') {
        take(1)
        unclosed = literal
        previous = 'literal'
        return
      } else literal.text += take(1)
    }
  }

  while (at < source.length) {
    const char = source[at] ?? ''
    if (/\s/.test(char)) take(1)
    else if (source.startsWith('//', at)) take(endOf('\n', at) - at)
    else if (source.startsWith('/*', at)) take(endOf('*/', at + 2) - at)
    else if (char === '`') {
      const literal = begin('template')
      take(1)
      readTemplate(literal)
    } else if (char === "'" || char === '"') {
      const literal = begin('string')
      take(1)
      while (at < source.length && source[at] !== char) literal.text += take(source[at] === '\\' ? 2 : 1)
      take(1)
      unclosed = literal
      previous = 'literal'
    } else if (char === '/' && (wordsBeforeRegex.has(previous) || !/[\w$)\]}]$|^literal$/.test(previous))) {
      meet('regex')
      take(1)
      for (let inClass = false; at < source.length && (inClass || source[at] !== '/');) {
        const piece = take(source[at] === '\\' ? 2 : 1)
        if (piece === '[') inClass = true
        if (piece === ']') inClass = false
      }
      take(1)
    } else if (/[\w$]/.test(char)) {
      const word = /[\w$]+/y
      word.lastIndex = at
      meet(take(word.exec(source)?.[0].length ?? 1))
    } else {
      const word = previous
      meet(take(1))
      if (char === '(' || char === '[' || char === '{') open.push({ bracket: char, word, template: null })
      if (char === ')' || char === ']' || char === '}') {
        const closed = open.pop()
        if (closed?.template) readTemplate(closed.template)
      }
    }
  }
  return literals
}

// --- one SQL statement -----------------------------------------------------------------------------------------

interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'parameter' | 'symbol'
  /** Words in upper case, names without their quotes. */
  readonly text: string
  readonly name: string
}

const tokenPattern =
  /(?<space>\s+)|(?<comment>--[^\n]*|\/\*[\s\S]*?\*\/)|(?<string>[xX]?'(?:[^']|'')*')|"(?<double>(?:[^"]|"")*)"|\[(?<bracket>[^\]]*)\]|\\?`(?<back>[^`]*?)\\?`|(?<number>\d[\w.]*)|(?<word>[A-Za-z_][\w$]*)|(?<parameter>\?\d*|[:@$]\w+)|(?<symbol>[\s\S])/y

function tokensOf(sql: string): { tokens: Token[]; comments: string[] } {
  const tokens: Token[] = []
  const comments: string[] = []
  const pattern = new RegExp(tokenPattern)
  for (let match = pattern.exec(sql); match !== null; match = pattern.exec(sql)) {
    const group = match.groups ?? {}
    const quoted = group['double'] ?? group['bracket'] ?? group['back']
    const text = match[0]
    const push = (kind: Token['kind'], value = text): number =>
      tokens.push({ kind, text: value, name: text.toLowerCase() })
    if (group['comment'] !== undefined) comments.push(text)
    else if (quoted !== undefined) tokens.push({ kind: 'quoted', text: quoted, name: quoted.toLowerCase() })
    else if (group['string'] !== undefined) push('string')
    else if (group['number'] !== undefined) push('number')
    else if (group['word'] !== undefined) push('word', text.toUpperCase())
    else if (group['parameter'] !== undefined) push('parameter')
    else if (group['symbol'] !== undefined) push('symbol')
  }
  return { tokens, comments }
}

export interface Statement {
  readonly verb: string
  readonly writes: readonly string[]
  readonly reads: readonly string[]
  /** What a query plan calls the tables: their own names and their aliases. */
  readonly calledInPlans: ReadonlySet<string>
  readonly commonTables: readonly string[]
  readonly hasStar: boolean
  readonly returnsStar: boolean
  readonly insertHasColumns: boolean
  readonly hasConflictVerb: boolean
  readonly patternMatches: readonly string[]
  readonly parameters: readonly string[]
  readonly several: boolean
  /** The reason a statement gives in a comment for reading a whole table. */
  readonly scanReason: string | null
}

const notAnAlias = new Set(
  (
    'WHERE JOIN LEFT RIGHT FULL INNER OUTER CROSS NATURAL ON USING ORDER GROUP HAVING LIMIT UNION EXCEPT INTERSECT ' +
    'SET RETURNING WINDOW INDEXED NOT VALUES SELECT DEFAULT FROM DO WITH AS'
  ).split(' '),
)
const endsTableList = new Set(
  'SELECT VALUES WHERE GROUP ORDER HAVING LIMIT SET RETURNING WINDOW UNION EXCEPT INTERSECT'.split(' '),
)
const verbs = new Set(['SELECT', 'INSERT', 'REPLACE', 'UPDATE', 'DELETE', 'VALUES'])

/** Table-valued functions may stand without parentheses too. */
const isTableFunction = (name: string): boolean => /^(?:json_each|json_tree|pragma_\w+)$/.test(name)

/** Reads a statement far enough to know its tables; what it means beyond that is the engine's affair. */
export function analyse(sql: string): Statement {
  const { tokens, comments } = tokensOf(sql)
  const writes = new Set<string>()
  const reads = new Set<string>()
  const called = new Set<string>()
  const aliases = new Map<string, string>()
  const commonTables = new Set<string>()
  const patternMatches = new Set<string>()
  const parameters: string[] = []
  let verb = ''
  let hasStar = false
  let returnsStar = false
  let insertHasColumns = false
  let hasConflictVerb = false
  let several = false

  /** What each open parenthesis is in the middle of. */
  interface Frame {
    inTables: boolean
    wantsTable: boolean
    wantsCommonTable: boolean
    inWith: boolean
  }
  const fresh = (inTables = false): Frame => ({
    inTables,
    wantsTable: inTables,
    wantsCommonTable: false,
    inWith: false,
  })
  const frames: Frame[] = [fresh()]
  const isName = (token: Token | undefined): token is Token => token?.kind === 'word' || token?.kind === 'quoted'

  /** Takes the table name at `index`; returns the index of its last token. */
  const takeTable = (index: number, into: Set<string>): number => {
    const last = tokens[index + 1]?.text === '.' ? index + 2 : index
    const name = tokens[last]?.name ?? ''
    if (tokens[last + 1]?.text === '(' && into === reads) return last
    if (isTableFunction(name)) return last
    into.add(name)
    const as = tokens[last + 1]?.text === 'AS' ? last + 2 : last + 1
    const alias = tokens[as]
    if (isName(alias) && (alias.kind === 'quoted' || !notAnAlias.has(alias.text))) aliases.set(alias.name, name)
    return last
  }

  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index]
    const frame = frames.at(-1)
    if (token === undefined || frame === undefined) break
    const before = tokens[index - 1]
    const next = tokens[index + 1]
    const top = frames.length === 1

    if (token.kind === 'parameter') parameters.push(token.text)
    else if (token.text === '(' && token.kind === 'symbol') {
      const startsQuery = next?.kind === 'word' && ['SELECT', 'WITH', 'VALUES'].includes(next.text)
      frames.push(fresh(frame.wantsTable && !startsQuery))
      frame.wantsTable = false
    } else if (token.text === ')' && token.kind === 'symbol') frames.pop()
    else if (token.text === ',' && token.kind === 'symbol') {
      if (frame.inTables) frame.wantsTable = true
      if (frame.inWith) frame.wantsCommonTable = true
    } else if (token.text === ';' && token.kind === 'symbol') several = true
    else if (token.text === '*' && token.kind === 'symbol') {
      if (before?.text === 'RETURNING') returnsStar = true
      else if (before !== undefined && ['SELECT', 'DISTINCT', 'ALL', ',', '.'].includes(before.text)) hasStar = true
    } else if (isName(token)) {
      if (frame.wantsCommonTable && token.text !== 'RECURSIVE') {
        commonTables.add(token.name)
        frame.wantsCommonTable = false
      } else if (frame.wantsTable) {
        frame.wantsTable = false
        index = takeTable(index, reads)
      } else if (token.kind === 'word') {
        // A word that is part of a longer name, or a function, is no keyword.
        if (before?.text === '.' || (token.text === 'REPLACE' && next?.text === '(')) continue
        if (verbs.has(token.text)) {
          frame.inWith = false
          if (top && verb === '') verb = token.text
        }
        if (endsTableList.has(token.text)) frame.inTables = false
        if (token.text === 'WITH') {
          frame.inWith = true
          frame.wantsCommonTable = true
        } else if (token.text === 'OR' && (before?.text === 'INSERT' || before?.text === 'UPDATE'))
          hasConflictVerb = true
        else if (token.text === 'REPLACE' && before?.text !== 'OR') hasConflictVerb = true
        else if (token.text === 'INTO') {
          index = takeTable(index + 1, writes)
          let after = index + 1
          if (tokens[after]?.text === 'AS') after += 2
          const first = tokens[after + 1]
          insertHasColumns =
            tokens[after]?.text === '(' && isName(first) && !verbs.has(first.text) && first.text !== 'WITH'
        } else if (token.text === 'UPDATE' && next?.text !== 'SET') {
          const target = next?.text === 'OR' ? index + 3 : index + 1
          if (next?.text === 'OR') hasConflictVerb = true
          index = takeTable(target, writes)
        } else if (token.text === 'FROM' && before?.text === 'DELETE') index = takeTable(index + 1, writes)
        else if (token.text === 'JOIN' || (token.text === 'FROM' && before?.text !== 'DISTINCT')) {
          frame.inTables = true
          frame.wantsTable = true
        } else if (token.text === 'IN' && isName(next)) index = takeTable(index + 1, reads)
        else if (token.text === 'LIKE' || token.text === 'GLOB') patternMatches.add(token.text)
      }
    }
  }

  for (const name of commonTables) reads.delete(name)
  for (const name of [...reads, ...writes]) called.add(name)
  for (const [alias, name] of aliases) if (!commonTables.has(name)) called.add(alias)
  const scan = comments
    .map((comment) => /^\/\*\s*scan:\s*(\S[\s\S]*?)\s*\*\/$/.exec(comment)?.[1])
    .find((reason) => reason)
  return {
    verb,
    writes: [...writes],
    reads: [...reads],
    calledInPlans: called,
    commonTables: [...commonTables],
    hasStar,
    returnsStar,
    insertHasColumns,
    hasConflictVerb,
    patternMatches: [...patternMatches],
    parameters,
    several,
    scanReason: scan ?? null,
  }
}

// --- the rules -------------------------------------------------------------------------------------------------

/** Whose table it is; the ports own what the engines need for themselves. */
export type Owners = ReadonlyMap<string, string>

export interface StoreStatement {
  readonly file: string
  readonly line: number
  readonly sql: string
  readonly statement: Statement
}

const beginsStatement = /^\s*(?:(?:--[^\n]*\n|\/\*[\s\S]*?\*\/)\s*)*(?:SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE)\b/i
const holdsSql =
  /\b(?:SELECT|INSERT INTO|INSERT OR|UPDATE|DELETE|FROM|WHERE|JOIN|VALUES|(?:ORDER|GROUP) BY|HAVING|LIMIT|RETURNING|ON CONFLICT|PRAGMA|(?:CREATE|DROP|ALTER) TABLE|ATTACH|VACUUM)\b/
// In capitals or in small letters: a sentence that begins "Select one from the list" is no SQL.
const shapes = [
  String.raw`insert\s+(?:or\s+\w+\s+)?into\s`,
  String.raw`replace\s+into\s`,
  String.raw`select\s[\s\S]*\sfrom\s`,
  String.raw`update\s+(?:or\s+\w+\s+)?\S+\s+set\s`,
  String.raw`delete\s+from\s`,
  String.raw`with\s+(?:recursive\s+)?\w+\s*(?:\([^)]*\)\s*)?as\s`,
  String.raw`(?:create|drop|alter)\s+(?:table|index|trigger)\s`,
]
const upperCase = (shape: string): string =>
  shape.replaceAll(/\\\w|\w/g, (part) => (part.length > 1 ? part : part.toUpperCase()))
const sqlShape = new RegExp(String.raw`^\s*(?:${[...shapes, ...shapes.map(upperCase)].join('|')})`)

const maximumParameters = 100

/** `store.ts` and `transitions.ts`, however deep in `src/<room>/`, belong to their room; every other file to none. */
export const roomOfStore = (file: string): string | null =>
  /^src\/([^/]+)\/(?:.+\/)?(?:store|transitions)\.ts$/.exec(file)?.[1] ?? null

const conditionPattern = /^(?:export )?const (\w+) =\s+`([^`$]*)`$/gm

/** The conditions that the stores of a room share, by name: constants at the top of a file that are text and no more. */
export const conditionsOf = (sources: readonly string[]): ReadonlyMap<string, string> =>
  new Map(
    sources.flatMap((source) => [...source.matchAll(conditionPattern)].map(([, name = '', text = '']) => [name, text])),
  )

/** A store with the conditions put where its statements name them. Its lines stay where they are. */
export const withConditions = (source: string, conditions: ReadonlyMap<string, string>): string =>
  source
    .replaceAll(conditionPattern, (declaration) => declaration.replaceAll(/[^\n]+/g, ''))
    .replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => conditions.get(name)?.replaceAll(/\s+/g, ' ') ?? whole)

/** SQL in a file that is no store. The ports and the adapters have SQL of their own. */
export function checkOutside(file: string, source: string): Fault[] {
  if (/^src\/(?:adapters|ports)\//.test(file)) return []
  return literalsOf(source)
    .filter((literal) => sqlShape.test(literal.text))
    .map(({ line, text }) => ({ file, line, rule: 'sql-outside-store', detail: text.trim().split('\n')[0] ?? '' }))
}

/** Reads one store: its statements, and what is wrong with them as far as the text alone tells. */
export function checkStore(
  { file, room, source }: { readonly file: string; readonly room: string; readonly source: string },
  owners: Owners,
): { statements: StoreStatement[]; faults: Fault[] } {
  const statements: StoreStatement[] = []
  const faults: Fault[] = []
  for (const literal of literalsOf(source)) {
    const fault = (rule: Rule, detail: string): number => faults.push({ file, line: literal.line, rule, detail })
    const start = literal.text.trim().split('\n')[0] ?? ''
    if (literal.kind === 'string' || !beginsStatement.test(literal.text)) {
      if (sqlShape.test(literal.text) || holdsSql.test(literal.text)) fault('sql-not-a-literal', start)
      continue
    }
    if (literal.interpolated) {
      fault('sql-not-a-literal', start)
      continue
    }
    const statement = analyse(literal.text)
    statements.push({ file, line: literal.line, sql: literal.text, statement })
    const { verb } = statement
    const call = verb === 'SELECT' ? 'query' : 'command'
    if (literal.argumentOf !== call) fault('sql-not-in-call', `${verb} belongs directly in ${call}(…)`)
    if (statement.several) fault('several-statements', start)
    for (const table of statement.writes) {
      const owner = owners.get(table)
      if (owner === undefined) fault('undeclared-table', table)
      else if (owner !== room) fault('writes-foreign-table', `${room} writes ${table} of ${owner}`)
    }
    for (const table of statement.reads) {
      const owner = owners.get(table)
      if (owner === undefined) fault('undeclared-table', table)
      else if (!mayImport(room, owner)) fault('reads-foreign-table', `${room} reads ${table} of ${owner}`)
    }
    for (const name of statement.commonTables) if (owners.has(name)) fault('shadowed-table', name)
    if (verb === 'INSERT' && !statement.insertHasColumns) fault('insert-without-columns', start)
    if (statement.hasConflictVerb) fault('insert-or', start)
    if (statement.hasStar) fault('select-star', start)
    if (statement.returnsStar) fault('returning-star', start)
    for (const name of statement.patternMatches) fault('like', name)
    for (const name of statement.parameters) if (name !== '?') fault('placeholder', name)
    if (statement.parameters.length > maximumParameters) fault('too-many-parameters', `${statement.parameters.length}`)
  }
  return { statements, faults }
}

interface PlanStep {
  readonly detail: string
}

const tablesOf = (database: BetterSqlite3.Database): Set<string> =>
  new Set(
    database
      .prepare<[], { name: string }>(`SELECT lower(name) AS name FROM sqlite_schema WHERE type IN ('table', 'view')`)
      .all()
      .map(({ name }) => name),
  )

/** Prepares each statement against the one database that has its tables, and asks how it would be carried out. */
export function checkAgainstSchema(
  statements: readonly StoreStatement[],
  databases: readonly BetterSqlite3.Database[],
): Fault[] {
  const candidates = databases.map((database) => ({ database, tables: tablesOf(database) }))
  const faults: Fault[] = []
  for (const { file, line, sql, statement } of statements) {
    const needed = [...statement.reads, ...statement.writes]
    const home = candidates.find(({ tables }) => needed.every((table) => tables.has(table)))
    if (home === undefined) {
      faults.push({ file, line, rule: 'does-not-prepare', detail: `no database has all of ${needed.join(', ')}` })
      continue
    }
    try {
      home.database.prepare(sql)
      if (statement.parameters.some((name) => name !== '?')) continue
      const plan = home.database
        .prepare<null[], PlanStep>(`EXPLAIN QUERY PLAN ${sql}`)
        .all(...statement.parameters.map(() => null))
      for (const { detail } of plan) {
        const scanned = /^SCAN (\S+)(?!.* USING .*INDEX)/.exec(detail)?.[1]?.toLowerCase()
        if (scanned === undefined || detail.includes('VIRTUAL TABLE')) continue
        if (statement.calledInPlans.has(scanned) && statement.scanReason === null) {
          faults.push({ file, line, rule: 'full-scan', detail })
        }
      }
    } catch (error) {
      faults.push({
        file,
        line,
        rule: 'does-not-prepare',
        detail: error instanceof Error ? error.message : String(error),
      })
    }
  }
  return faults
}
