import type { AuthenticateDevice, Room } from '../api/room.ts'
import { createAuthenticate } from './authenticate.ts'
import type { RegistrationDeps } from './deps.ts'
import { chooseMailbox, mailboxesOf, type OwnMailbox } from './mailboxes.ts'
import { personalData } from './personal-data.ts'
import { registrationRoutes } from './routes.ts'
import { deleteRegistrationsExpiredBefore } from './store.ts'

export interface RegistrationRoom extends Room {
  readonly authenticate: AuthenticateDevice
  /** The mailbox that a request of a subscriber is for; see `chooseMailbox`. */
  chooseMailbox(subscriber: string, named: string | undefined): Promise<OwnMailbox>
  mailboxesOf(subscriber: string): Promise<OwnMailbox[]>
}

const expiredKeptMilliseconds = 2 * 86_400_000

/** Registration: a device and a mailbox become a subscriber. */
export function createRegistrationRoom(deps: Omit<RegistrationDeps, 'hashSecret'>): RegistrationRoom {
  const encoder = new TextEncoder()
  const all: RegistrationDeps = { ...deps, hashSecret: (secret) => deps.sha256(encoder.encode(secret)) }
  const authenticate = createAuthenticate(all)
  return {
    authenticate,
    chooseMailbox: (subscriber, named) => chooseMailbox(all, subscriber, named),
    mailboxesOf: (subscriber) => mailboxesOf(all, subscriber),
    routes: [registrationRoutes(all, authenticate)],
    jobs: [
      {
        name: 'registrations-prune',
        cron: '17 3 * * *',
        run: async () => {
          const before = deps.clock() - expiredKeptMilliseconds
          const [pruned] = await deps.database.batch([deleteRegistrationsExpiredBefore(before)])
          deps.events.rowsPruned({ table: 'registrations', rows: pruned?.changes ?? 0 })
        },
      },
    ],
    personalData,
    checks: [],
  }
}
