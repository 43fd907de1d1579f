import type { OpenAPIHono } from '@hono/zod-openapi'
import type { RowBudgetName } from '../ports/row-budgets.ts'

/** By table, how many rows. */
type TableRows = Readonly<Record<string, number>>

/** How many rows a call leaves at most, for each unit of each budget that it takes from. */
export type RowsPerUnit = Readonly<Partial<Record<RowBudgetName, TableRows>>>

/** A declaration, told from everything else that may stand in a route. */
class Declaration {
  readonly perUnit: RowsPerUnit

  constructor(perUnit: RowsPerUnit) {
    this.perUnit = perUnit
  }
}

/** Where a route says which rows it leaves. It is in no document. */
export const leaves = Symbol('leaves')

/**
 * Says which rows a call of a route leaves for good. The seals over audit entries, and the counts of the budgets
 * themselves, need no saying.
 */
export const rowsLeft = (perUnit: RowsPerUnit): object => new Declaration(perUnit)

const declaredBy = (route: object): RowsPerUnit => {
  const declaration: unknown = Reflect.get(route, leaves)
  return declaration instanceof Declaration ? declaration.perUnit : {}
}

/** What each route declares, by operation. One without a declaration leaves nothing. */
export const declaredRows = (routes: readonly OpenAPIHono[]): ReadonlyMap<string, RowsPerUnit> =>
  new Map(
    routes
      .flatMap((app) => app.openAPIRegistry.definitions)
      .flatMap((definition) =>
        definition.type === 'route'
          ? [[definition.route.operationId ?? '', declaredBy(definition.route)] as const]
          : [],
      ),
  )
