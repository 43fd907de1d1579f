import { pageAnswer, pageLanguage, type PageLanguage } from '../api/page.ts'
import { createRoutes, type Room } from '../api/room.ts'
import type { Database } from '../ports/database.ts'
import type { TableDeclaration } from '../ports/personal-data.ts'
import { readColumns, type DatabaseRole } from '../ports/schema.ts'
import type { Clock } from '../ports/runtime.ts'
import { privacyPage, type PrivacyFacts } from './page.ts'
import { personalData } from './personal-data.ts'
import { registerFaults } from './register.ts'
import { dayNameOf } from '../ports/time.ts'

/**
 * The register of processing and the page made of it. The room works on declarations, and knows no table of another
 * room.
 */
export function createPrivacyRoom(deps: {
  readonly databases: readonly { readonly role: DatabaseRole; readonly database: Database }[]
  readonly declarations: readonly TableDeclaration[]
  readonly facts: Omit<PrivacyFacts, 'authorities'>
  /** Who gets requests now. Called each time the page is shown. */
  readonly authorities: () => Promise<PrivacyFacts['authorities']>
  readonly clock: Clock
}): Room {
  const all = [...deps.declarations, ...personalData]
  const routes = createRoutes()
  // Made once for each language, until the day or a recipient changes: it takes milliseconds, and anyone may ask for it.
  const shown = new Map<PageLanguage, { readonly of: string; readonly page: ReturnType<typeof privacyPage> }>()
  routes.get('/privacy', async (context) => {
    const language = pageLanguage(context.req.header('Accept-Language'))
    const day = dayNameOf(deps.clock())
    const facts = { ...deps.facts, authorities: await deps.authorities() }
    const of = JSON.stringify([day, facts.authorities])
    const before = shown.get(language)
    const current = before?.of === of ? before : { of, page: privacyPage(all, facts, language, day) }
    shown.set(language, current)
    return pageAnswer(context, current.page)
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
