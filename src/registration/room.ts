import type { ClientConnection, DeviceCaller, Room } from '../api/room.ts'
import type { MailParameters } from '../mail/content.ts'
import type { Announcement } from '../mail/room.ts'
import { rowsPerBatch, untilDone } from '../ports/bounded.ts'
import { faultsOfAll } from '../ports/authority.ts'
import type { Command, Outcome } from '../ports/database.ts'
import type { Payment } from '../ports/row-budgets.ts'
import { announcementCommands, type CertifiedMailbox } from './announcements.ts'
import { createAuthenticate, membershipOf, type Caller, type Membership } from './authenticate.ts'
import { endedParts, type EndedPart } from './consequences.ts'
import type { RegistrationDeps } from './deps.ts'
import { deviceRoutes } from './device/routes.ts'
import { deleteCallerChanges, readDeviceFaults } from './device/store.ts'
import { chooseMailbox, mailboxesOf, type OwnMailbox } from './mailboxes.ts'
import { linkRoutes } from './link/routes.ts'
import { challengeUnlessAsked, openChallenge, presentChallenge, toBeProved } from './mailbox/challenge.ts'
import { mailboxRoutes } from './mailbox/routes.ts'
import { deleteMailboxChallengesExpiredBefore, readMailboxChallengeFaults, readMailboxFaults } from './mailbox/store.ts'
import { payAsNetwork, type BudgetPurpose } from './network-budget.ts'
import { personalData } from './personal-data.ts'
import { registrationRoutes } from './routes.ts'
import {
  deleteNetworkBudgetsBefore,
  deleteRegistrationsExpiredBefore,
  deleteSubscriberBudgetsBefore,
  readRegistrationFaults,
  readSubscriberFaults,
} from './store.ts'
import { dayMilliseconds, dayNumberOf, hourNumberOf } from '../ports/time.ts'

export interface RegistrationRoom extends Room {
  /** See `createAuthenticate`. */
  readonly authenticate: (authorization: string | undefined, request?: object) => Promise<Caller>
  /** Chooses the mailbox of a request; see `chooseMailbox`. */
  chooseMailbox(subscriber: string, named: string | undefined): Promise<OwnMailbox>
  mailboxesOf(subscriber: string): Promise<OwnMailbox[]>
  membershipOf(caller: Caller): Membership
  /** The commands that tell a certificate's mailbox what happened; none where the mailbox does not exist. */
  readonly announcementCommands: <K extends Announcement>(
    of: CertifiedMailbox,
    kind: K,
    about: string,
    parameters: MailParameters[K],
  ) => Promise<Command[]>
  /** Pays for what a caller begins without a credential; see `payAsNetwork`. */
  payAsNetwork(client: ClientConnection, purpose: BudgetPurpose): Payment
  /** Mails a token to a mailbox of the caller, unless one was mailed within the hour; see `challengeUnlessAsked`. */
  challengeUnlessAsked(
    caller: DeviceCaller,
    mailbox: OwnMailbox,
    run: (commands: readonly Command[]) => Promise<readonly Outcome[]>,
  ): Promise<void>
  /** The challenge by which a device can prove a mailbox for a request that waits for it, or null. */
  openChallenge(caller: DeviceCaller, mailbox: string): Promise<ReturnType<typeof presentChallenge> | null>
  /** Mailboxes and devices that have ended, with consequences to come; see `endedParts`. */
  endedParts(): AsyncGenerator<EndedPart>
}

const expiredKeptMilliseconds = 2 * dayMilliseconds

/** Registration: makes a subscriber of a device and a mailbox. */
export function createRegistrationRoom(deps: RegistrationDeps): RegistrationRoom {
  const authenticate = createAuthenticate(deps)
  return {
    authenticate,
    chooseMailbox: (subscriber, named) => chooseMailbox(deps, subscriber, named),
    mailboxesOf: (subscriber) => mailboxesOf(deps, subscriber),
    membershipOf: (caller) => membershipOf(deps, caller),
    announcementCommands: (of, kind, about, parameters) => announcementCommands(deps, of, { kind, about }, parameters),
    payAsNetwork: (client, purpose) => payAsNetwork(deps, client, purpose),
    challengeUnlessAsked: (caller, mailbox, run) => challengeUnlessAsked(deps, caller, toBeProved(mailbox, null), run),
    openChallenge: async (caller, mailbox) => {
      const open = await openChallenge(deps, caller, mailbox)
      return open === null ? null : presentChallenge(open)
    },
    endedParts: () => endedParts(deps),
    routes: [
      registrationRoutes(deps, authenticate),
      deviceRoutes(deps, authenticate),
      mailboxRoutes(deps, authenticate),
      linkRoutes(deps),
    ],
    jobs: [
      {
        name: 'registrations-prune',
        cron: '17 3 * * *',
        run: async () => {
          const before = deps.clock() - expiredKeptMilliseconds
          const pruned = {
            registrations: deleteRegistrationsExpiredBefore(before),
            mailbox_challenges: deleteMailboxChallengesExpiredBefore(before),
            network_budgets: deleteNetworkBudgetsBefore(hourNumberOf(before)),
            subscriber_budgets: deleteSubscriberBudgetsBefore(dayNumberOf(before)),
          }
          for (const [table, command] of Object.entries(pruned)) {
            const [outcome] = await deps.database.batch([command])
            deps.events.rowsPruned({ table, rows: outcome?.changes ?? 0 })
          }
          const rows = await untilDone(async () => {
            const [deleted] = await deps.database.batch([deleteCallerChanges(rowsPerBatch)])
            return deleted?.changes ?? 0
          })
          deps.events.rowsPruned({ table: 'caller_changes', rows })
        },
      },
    ],
    personalData,
    checks: [
      {
        name: 'nobody else has written devices',
        run: () => faultsOfAll((after, limit) => readDeviceFaults(deps, after, limit)),
      },
      {
        name: 'nobody else has written subscribers',
        run: () => faultsOfAll((after, limit) => readSubscriberFaults(deps, after, limit)),
      },
      {
        name: 'nobody else has written mailboxes',
        run: () => faultsOfAll((after, limit) => readMailboxFaults(deps, after, limit)),
      },
      {
        name: 'nobody else has written challenges to mailboxes',
        run: () => faultsOfAll((after, limit) => readMailboxChallengeFaults(deps, after, limit)),
      },
      {
        name: 'nobody else has written registrations',
        run: () => faultsOfAll((after, limit) => readRegistrationFaults(deps, after, limit)),
      },
    ],
  }
}
