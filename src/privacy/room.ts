import { pageAnswer, pageLanguage } from '../api/page.ts'
import { createRoutes, type Room } from '../api/room.ts'
import type { Database } from '../ports/database.ts'
import type { TableDeclaration } from '../ports/personal-data.ts'
import { readColumns, type DatabaseRole } from '../ports/schema.ts'
import type { Clock } from '../ports/runtime.ts'
import { privacyPage, type PrivacyFacts } from './page.ts'
import { personalData } from './personal-data.ts'
import { registerFaults } from './register.ts'

/** The register, and the page made of it. It works on what the rooms declare and knows no room's tables. */
export function createPrivacyRoom(deps: {
  readonly databases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  readonly declarations: readonly TableDeclaration[]
  readonly facts: Omit<PrivacyFacts, 'authorities'>
  /** To whom requests can go at the moment; asked each time that the page is shown. */
  readonly authorities: () => Promise<PrivacyFacts['authorities']>
  readonly clock: Clock
}): Room {
  const all = [...deps.declarations, ...personalData]
  const routes = createRoutes()
  routes.get('/privacy', async (context) => {
    const language = pageLanguage(context.req.header('Accept-Language'))
    const day = new Date(deps.clock()).toISOString().slice(0, 10)
    const facts = { ...deps.facts, authorities: await deps.authorities() }
    return pageAnswer(context, privacyPage(all, facts, language, day))
  })
  return {
    routes: [routes],
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
