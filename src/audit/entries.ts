import { toHex } from '../pki/encoding.ts'
import type { Command } from '../ports/database.ts'
import type { Payment } from '../ports/row-budgets.ts'
import { sealText, type Keys, type Sha256 } from '../ports/keys.ts'
import { randomId, type Clock, type Random } from '../ports/runtime.ts'
import { entryMac, erasureMac } from './macs.ts'
import { deletePrivate, insertEntry, insertErasure, insertPrivate } from './store.ts'

/** The actor of commands on the machine itself. Whoever runs them there could read `DATA_KEY` anyway. */
export const commandLine = 'command line'

/** What each log begins with: the making of the CAs inside. */
export const firstAction = 'authorities.created'

/** What happened, to what, by whom. */
export interface AuditEvent {
  readonly action: string
  readonly actorKind: 'device' | 'anyone' | 'service' | 'administrator'
  readonly actor: string | null
  readonly subjectKind: string
  readonly subject: string
  /** Facts that name nobody. They stay as long as the log. */
  readonly facts?: Readonly<Record<string, string | number | null>>
  /** Values that name somebody. The log holds only a salted commitment of each, so the value can be erased. */
  readonly personal?: Readonly<Record<string, string>>
}

/** What the service or an administrator did: it needs no payment. */
export type OwnEvent = AuditEvent & { readonly actorKind: 'service' | 'administrator' }

export type AuditActor = Pick<AuditEvent, 'actorKind' | 'actor'>
export const byService: Pick<OwnEvent, 'actorKind' | 'actor'> = { actorKind: 'service', actor: null }

/**
 * Makes the commands that write one event to the log. Commit them with the change that the event tells of. Entries stay
 * for good, so what a device or anyone may cause names the payment of that change.
 */
export interface RecordAudit {
  (event: OwnEvent): Command[]
  (event: AuditEvent, payment: Payment): Command[]
}

export interface AuditDeps {
  readonly keys: Keys
  readonly sha256: Sha256
  readonly random: Random
  readonly clock: Clock
}

const encoder = new TextEncoder()

/** The place of a personal value, or of its salt, to which its seal is bound. */
export const privatePlace = (
  entry: string,
  field: string,
  column: 'value_sealed' | 'salt_sealed' = 'value_sealed',
) => ({
  table: 'audit_private',
  column,
  row: `${entry}/${field}`,
})

/** Commits to a value without holding it: SHA-256 of salt, field name, NUL and value. */
export const commitment = (sha256: Sha256, salt: Uint8Array, field: string, value: string): string => {
  const named = encoder.encode(`${field}\0${value}`)
  const input = new Uint8Array(salt.length + named.length)
  input.set(salt)
  input.set(named, salt.length)
  return toHex(sha256(input))
}

export const createRecordAudit =
  (deps: AuditDeps): RecordAudit =>
  (event) => {
    const id = randomId(deps.random)
    const commitments: Record<string, string> = {}
    const privates: Command[] = []
    for (const [field, value] of Object.entries(event.personal ?? {})) {
      const salt = deps.random.bytes(16)
      commitments[field] = commitment(deps.sha256, salt, field, value)
      privates.push(
        insertPrivate({
          entry: id,
          field,
          saltSealed: deps.keys.main.seal(privatePlace(id, field, 'salt_sealed'), salt),
          valueSealed: sealText(deps.keys.main, privatePlace(id, field), value),
        }),
      )
    }
    const entry = {
      id,
      at: deps.clock(),
      action: event.action,
      actorKind: event.actorKind,
      actor: event.actor,
      subjectKind: event.subjectKind,
      subject: event.subject,
      facts: JSON.stringify(event.facts ?? {}),
      commitments: JSON.stringify(commitments),
    }
    return [insertEntry({ ...entry, mac: entryMac.of(deps.keys, entry) }), ...privates]
  }

/** A personal value of an entry. */
interface AuditValue {
  readonly entry: string
  readonly field: string
}

/**
 * Makes the commands that erase personal values, and say why. `why` names nobody. What is erased stays committed to, so
 * an erasure without its row is found.
 */
export type EraseAuditValues = (values: readonly AuditValue[], why: string) => Command[]

export const createEraseAuditValues =
  (deps: AuditDeps): EraseAuditValues =>
  (values, why) =>
    values.flatMap(({ entry, field }) => {
      const erasure = { entry, field, why, at: deps.clock() }
      return [insertErasure({ ...erasure, mac: erasureMac.of(deps.keys, erasure) }), deletePrivate(entry, field)]
    })
