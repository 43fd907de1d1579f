import { readFileSync, writeFileSync } from 'node:fs'
import { personalData as admin } from './admin/personal-data.ts'
import { personalData as audit } from './audit/personal-data.ts'
import { personalData as consent } from './consent/personal-data.ts'
import { personalData as directory } from './directory/personal-data.ts'
import { personalData as cas } from './cas/personal-data.ts'
import { personalData as certificates } from './certificates/personal-data.ts'
import { personalData as requests } from './requests/personal-data.ts'
import { personalData as mail } from './mail/personal-data.ts'
import { personalData as house } from './privacy/personal-data.ts'
import { registerMarkdown } from './privacy/register.ts'
import { problemTable } from './problem.ts'
import { personalData as queryLog } from './query-log/personal-data.ts'
import { personalData as registration } from './registration/personal-data.ts'
import { personalData as reports } from './reports/personal-data.ts'

const errorsIntroduction = `# Errors

Every refusal is a problem document (RFC 9457) with a \`code\`. Codes never change, words may: branch on the code.
\`npm run docs\` makes this page from \`src/problem.ts\`.

`

/** The declarations of all rooms, in the order of the documents. */
export const declarations = [
  audit,
  mail,
  consent,
  queryLog,
  registration,
  cas,
  certificates,
  requests,
  directory,
  reports,
  admin,
  house,
].flat()

/** The documents that are generated from code, by path. */
export const documents: Readonly<Record<string, () => string>> = {
  'db/README.md': () => registerMarkdown(declarations),
  'docs/errors.md': () => `${errorsIntroduction}${problemTable()}\n`,
}

const root = new URL('../', import.meta.url)

/** The paths of generated documents that differ from what the code says. */
export const outdatedDocuments = (): string[] =>
  Object.entries(documents)
    .filter(([path, make]) => readFileSync(new URL(path, root), 'utf8') !== make())
    .map(([path]) => path)

if (import.meta.main) {
  for (const [path, make] of Object.entries(documents)) writeFileSync(new URL(path, root), make())
}
