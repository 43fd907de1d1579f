import type { z } from 'zod'
import { timestamp, type DeviceCaller } from '../api/room.ts'
import type { subscriberAnswer } from '../api/shapes.ts'
import { commit } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import type { RegistrationDeps } from './deps.ts'
import { mailboxesOf, presentMailbox } from './mailboxes.ts'
import { changeLanguage, readSubscriber } from './store.ts'
import { payForAct } from './act-budget.ts'

const noSubscriber = (): DomainError => new DomainError('not_found', 'There is no such subscriber.')

/** Describes the caller's subscriber. Throws `not_found`. */
export async function presentSubscriber(
  deps: RegistrationDeps,
  caller: DeviceCaller,
): Promise<z.infer<typeof subscriberAnswer>> {
  const subscriber = await readSubscriber(deps.database, caller.subscriberId)
  if (subscriber === null) throw noSubscriber()
  const mailboxes = await mailboxesOf(deps, caller.subscriberId)
  return {
    subscriberId: subscriber.id,
    deviceId: caller.deviceId,
    language: subscriber.language,
    createdAt: timestamp(subscriber.createdAt),
    restricted: subscriber.restrictedAt !== null,
    mailboxes: mailboxes.flatMap(presentMailbox),
  }
}

/** Changes the language of notices; one that is the same leaves nothing. Throws `not_found`, `too_many_requests`. */
export async function changeSubscriber(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  change: { language: string },
): Promise<void> {
  const subscriber = await readSubscriber(deps.database, caller.subscriberId)
  if (subscriber?.language === change.language) return
  await commit(
    deps,
    {
      commands: changeLanguage(caller.subscriberId, change.language),
      audit: {
        action: 'subscriber.changed',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'subscriber',
        subject: caller.subscriberId,
        facts: { field: 'language' },
      },
      payment: payForAct(deps.clock, caller.subscriberId),
    },
    () => {
      throw noSubscriber()
    },
  )
}
