/** The values that both engines store and return unchanged. */
export type SqlValue = string | number | null | Uint8Array

/**
 * One statement that writes. A name tells who commits:
 * - in a store, `read…` and `count…` make a query, every other function makes a statement (`insert…`, `update…`, `to…`);
 * - elsewhere, a noun (often `…Commands`) or a hook `on…` only makes commands, and every other verb commits.
 */
export interface Command {
  readonly text: string
  readonly values: readonly SqlValue[]
}

/** One statement that reads, with the reader that makes `T` from a row. */
export interface Query<T> {
  readonly text: string
  readonly values: readonly SqlValue[]
  readonly read: (row: Readonly<Record<string, unknown>>) => T
}

/** How many rows one command of a batch changed. */
export interface Outcome {
  readonly changes: number
}

/** Reads committed data. */
export interface Reader {
  /** The first row. Null if there is none. */
  first<T>(query: Query<T>): Promise<T | null>
  all<T>(query: Query<T>): Promise<T[]>
}

/**
 * One database. Only `batch` writes. It is atomic, takes the write lock before its first statement, and resolves when
 * the commit is durable.
 */
export interface Database extends Reader {
  /**
   * Runs all commands or none. Rejects with `GuardBroken` if a guard fails, and with `ConstraintFailed` if the schema
   * refuses a value; nothing is written then. An empty list is a mistake of the caller.
   */
  batch(commands: readonly Command[]): Promise<Outcome[]>
  /**
   * The same without waiting: null where another process has the write lock at this moment. Rejects if it has had it for
   * so long that a batch was given up. An engine without such a lock does not tell, and runs the batch.
   */
  batchUnlessLocked(commands: readonly Command[]): Promise<Outcome[] | null>
  /** `nearest` may read from a replica that lags behind. `primary` never does. */
  reading(where: 'primary' | 'nearest'): Reader
  /**
   * A number that changes with every commit of any process. Null if the engine cannot tell: then nothing may be
   * cached.
   */
  changeStamp(): number | null
}

/** A guard inside a batch failed. Nothing was written. */
export class GuardBroken extends Error {
  readonly code: string

  constructor(code: string, options?: ErrorOptions) {
    super(`guard broken: ${code}`, options)
    this.name = 'GuardBroken'
    this.code = code
  }
}

/** Runs a batch. Resolves to false, and writes nothing, if a guard is broken because another worker was faster. */
export async function commitUnlessTaken(database: Database, commands: readonly Command[]): Promise<boolean> {
  try {
    await database.batch(commands)
    return true
  } catch (error) {
    if (error instanceof GuardBroken) return false
    throw error
  }
}

/** The kinds of constraint that both engines report in the same way. */
type ConstraintKind = 'unique' | 'check' | 'not_null' | 'foreign_key' | 'type' | 'trigger'

/** The schema refused a value. Nothing was written. */
export class ConstraintFailed extends Error {
  readonly kind: ConstraintKind
  /** The name of a check, the message of a trigger, else `table.column`; several are joined by ", ". */
  readonly constraint: string

  constructor(kind: ConstraintKind, constraint: string, options?: ErrorOptions) {
    super(`${kind} constraint failed: ${constraint}`, options)
    this.name = 'ConstraintFailed'
    this.kind = kind
    this.constraint = constraint
  }
}

/** A row has another shape than the code expects: schema and code disagree. */
class RowMismatch extends Error {
  constructor(column: string, expected: string, value: unknown) {
    super(`column ${column}: expected ${expected}, found ${value === null ? 'null' : typeof value}`)
    this.name = 'RowMismatch'
  }
}

/** Reads one column's value, or throws. */
export type ColumnReader<T> = (value: unknown, column: string) => T

export const text: ColumnReader<string> = (value, column) => {
  if (typeof value !== 'string') throw new RowMismatch(column, 'text', value)
  return value
}

/** A safe integer. Both engines silently round larger ones, so none is ever stored. */
export const integer: ColumnReader<number> = (value, column) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw new RowMismatch(column, 'integer', value)
  return value
}

export const blob: ColumnReader<Uint8Array> = (value, column) => {
  if (!(value instanceof Uint8Array)) throw new RowMismatch(column, 'blob', value)
  // One engine returns a Buffer. Its `slice` and `toString` differ from those of Uint8Array.
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

/** The reader for a column that may be null. */
export const nullable =
  <T>(reader: ColumnReader<T>): ColumnReader<T | null> =>
  (value, column) =>
    value === null ? null : reader(value, column)

/** The reader for a column whose CHECK names its values. */
export const oneOf =
  <const T extends string>(...allowed: readonly T[]): ColumnReader<T> =>
  (value, column) => {
    const found = allowed.find((candidate) => candidate === value)
    if (found === undefined) throw new RowMismatch(column, allowed.join('|'), value)
    return found
  }

type ColumnReaders = Readonly<Record<string, ColumnReader<unknown>>>
/** What a query with these columns reads. */
export type RowOf<C extends ColumnReaders> = {
  -readonly [K in keyof C]: C[K] extends ColumnReader<infer T> ? T : never
}

/** Each column is read by its own reader, so the row has the type that `RowOf` says. */
function readRow<C extends ColumnReaders>(columns: C, row: Readonly<Record<string, unknown>>): RowOf<C>
function readRow(columns: ColumnReaders, row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const name in columns) result[name] = columns[name]?.(row[name], name)
  return result
}

/**
 * Returns the values. Throws `RangeError` for one that an engine would round (beyond the safe integers), turn into
 * NULL (NaN), or take although the other refuses it (a bigint, a boolean, undefined).
 */
const bindable = (values: readonly SqlValue[]): readonly SqlValue[] => {
  for (const value of values) {
    const fits =
      typeof value === 'string' || value === null || Number.isSafeInteger(value) || value instanceof Uint8Array
    if (!fits) throw new RangeError(`a ${typeof value} that a database would round or refuse`)
  }
  return values
}

/** A reading statement. `columns` names each column of the result and its reader. */
export function query<const C extends ColumnReaders>(
  columns: C,
  statement: string,
  ...values: readonly SqlValue[]
): Query<RowOf<C>> {
  return { text: statement, values: bindable(values), read: (row) => readRow(columns, row) }
}

/**
 * A writing statement. In a join, and in `EXISTS`, SQLite's planner looks at the value of a parameter that a column must
 * equal, and so prepares the statement again for each run. In statements that run often, `= +?` hides the value.
 */
export function command(statement: string, ...values: readonly SqlValue[]): Command {
  return { text: statement, values: bindable(values) }
}

/**
 * A guard: breaks the batch with `GuardBroken(code)` unless the command directly before it changed exactly one row. To
 * count after the commit would be too late.
 */
export function requireOneChange(code: string): Command {
  return { text: `INSERT INTO batch_guard (broken) SELECT ? WHERE changes() <> 1`, values: [code] }
}

/** A guard: breaks the batch with `GuardBroken(code)` unless the query finds a row at this point of the batch. */
export function requireRow(code: string, { text, values }: Query<unknown>): Command {
  return { text: `INSERT INTO batch_guard (broken) SELECT ? WHERE NOT EXISTS (${text})`, values: [code, ...values] }
}

/** A guard: breaks the batch with `GuardBroken(code)` if the query finds a row at this point of the batch. */
export function requireNoRow(code: string, { text, values }: Query<unknown>): Command {
  return { text: `INSERT INTO batch_guard (broken) SELECT ? WHERE EXISTS (${text})`, values: [code, ...values] }
}

const constraintPatterns: readonly (readonly [ConstraintKind, RegExp])[] = [
  ['unique', /UNIQUE constraint failed: (?:index ')?([^:']+)/],
  ['check', /CHECK constraint failed: ([^:]+)/],
  ['not_null', /NOT NULL constraint failed: ([^:]+)/],
  ['foreign_key', /FOREIGN KEY constraint failed()/],
  ['type', /cannot store \w+ value in \w+ column ([^:\s]+)/],
]

/**
 * Turns an engine's error into the port's. Both engines pass on only SQLite's message unchanged. It is read here and
 * nowhere else.
 */
export function portError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const guard = /guard:(\w+)/.exec(error.message)
  if (guard?.[1] !== undefined) return new GuardBroken(guard[1], { cause: error })
  for (const [kind, pattern] of constraintPatterns) {
    const match = pattern.exec(error.message)
    if (match) return new ConstraintFailed(kind, (match[1] ?? '').trim(), { cause: error })
  }
  const refused = /refused:(\w+)/.exec(error.message)
  if (refused?.[1] !== undefined) return new ConstraintFailed('trigger', refused[1], { cause: error })
  return error
}
