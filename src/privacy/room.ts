import type { Room } from '../api/room.ts'
import type { Database } from '../ports/database.ts'
import type { TableDeclaration } from '../ports/personal-data.ts'
import { readColumns, type DatabaseRole } from '../ports/schema.ts'
import { personalData } from './personal-data.ts'
import { registerFaults } from './register.ts'

/** The register. It works on what the rooms declare and knows no room's tables. */
export function createPrivacyRoom(deps: {
  readonly databases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  readonly declarations: readonly TableDeclaration[]
}): Room {
  const all = [...deps.declarations, ...personalData]
  return {
    routes: [],
    jobs: [],
    personalData,
    checks: [
      {
        name: 'no undeclared column',
        run: async () => {
          const faults = await Promise.all(
            deps.databases.map(async ({ role, database }) => registerFaults(role, await readColumns(database), all)),
          )
          return faults.flat()
        },
      },
    ],
  }
}
