import type { ColumnDeclaration, TableDeclaration } from '../ports/personal-data.ts'
import type { DatabaseRole } from '../ports/schema.ts'

/**
 * Compares the real schema with the declarations. Names each column without a declaration, and each declaration without
 * a column.
 */
export function registerFaults(
  role: DatabaseRole,
  real: readonly { table: string; column: string }[],
  declarations: readonly TableDeclaration[],
): string[] {
  const ofRole = declarations.filter((declaration) => declaration.database === role)
  const declared = new Set(
    ofRole.flatMap(({ table, columns }) => Object.keys(columns).map((name) => `${table}.${name}`)),
  )
  const found = new Set(real.map(({ table, column }) => `${table}.${column}`))
  const twice = ofRole.filter((declaration) =>
    ofRole.some((other) => other !== declaration && other.table === declaration.table),
  )
  return [
    ...[...found].filter((name) => !declared.has(name)).map((name) => `${role}: column ${name} is not declared`),
    ...[...declared]
      .filter((name) => !found.has(name))
      .map((name) => `${role}: ${name} is declared but does not exist`),
    ...twice.map(({ table }) => `${role}: table ${table} is declared more than once`),
  ]
}

const personalWords: Readonly<Record<ColumnDeclaration['personal'], string>> = {
  sealed: 'yes, encrypted',
  index: 'keyed hash',
  linked: 'by id',
  none: 'no',
}

const tableSection = (declaration: TableDeclaration): string =>
  [
    `### ${declaration.table}`,
    '',
    `Holds ${declaration.holds}.`,
    '',
    `- Purpose: ${declaration.purpose}`,
    `- Legal basis: ${declaration.legalBasis}`,
    `- Kept: ${declaration.retention}`,
    `- Passed to: ${declaration.recipients.length === 0 ? 'nobody' : declaration.recipients.join('; ')}`,
    `- Promises: ${declaration.promises.length === 0 ? 'none' : declaration.promises.join(', ')}`,
    '',
    '| column | holds | personal |',
    '| --- | --- | --- |',
    ...Object.entries(declaration.columns).map(
      ([name, column]) => `| \`${name}\` | ${column.holds} | ${personalWords[column.personal]} |`,
    ),
    '',
  ].join('\n')

const databaseTitles: Readonly<Record<DatabaseRole, string>> = {
  main: 'main: what is small and precious',
  journal: 'journal: what is written many times a second and pruned by age',
  keys: 'keys: the key ring, on Workers only',
}

/** The register as Markdown, for `db/README.md`. */
export function registerMarkdown(declarations: readonly TableDeclaration[]): string {
  const sections = (['main', 'journal', 'keys'] as const).map((role) =>
    [
      `## ${databaseTitles[role]}`,
      '',
      ...declarations.filter((declaration) => declaration.database === role).map(tableSection),
    ].join('\n'),
  )
  return [
    '# The databases, table by table',
    '',
    'Made by `npm run docs` from what each room declares in its `personal-data.ts`; a test fails when it is out of date,',
    'and when a column exists that no room declares. Times are UTC milliseconds.',
    '',
    ...sections,
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}
