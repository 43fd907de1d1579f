import type { Keys } from '../ports/keys.ts'
import type { AuditEntryRow, AuditErasureRow, AuditHeadRow, AuditSealRow } from './store.ts'

/**
 * What the MACs of the audit log stand over: all columns of a row, in a fixed order. An entry's position is left out,
 * because the database gives it; the seals cover it.
 */

type Without<Row, Column extends keyof Row = never> = Omit<Row, 'mac' | Column>

const entryContent = (entry: Without<AuditEntryRow, 'position'>): string =>
  JSON.stringify([
    entry.id,
    entry.at,
    entry.action,
    entry.actorKind,
    entry.actor,
    entry.subjectKind,
    entry.subject,
    entry.facts,
    entry.commitments,
  ])

const sealContent = (seal: Without<AuditSealRow>): string =>
  JSON.stringify([seal.number, seal.predecessor, seal.firstPosition, seal.lastPosition, seal.hash, seal.at])

const headContent = (head: Without<AuditHeadRow>): string => JSON.stringify([head.seals, head.lastPosition, head.hash])

const erasureContent = ({ entry, field, why, at }: Without<AuditErasureRow>): string =>
  JSON.stringify([entry, field, why, at])

/** Adds the MAC to the columns of a row, or checks it. */
interface Authenticated<Columns> {
  sealed<Given extends Columns>(keys: Keys, columns: Given): Given & { readonly mac: Uint8Array }
  fits(keys: Keys, row: Columns & { readonly mac: Uint8Array }): boolean
}

const authenticated = <Columns>(purpose: string, contentOf: (columns: Columns) => string): Authenticated<Columns> => ({
  sealed: (keys, columns) => ({ ...columns, mac: keys.mac(purpose, contentOf(columns)) }),
  fits: (keys, row) => keys.macFits(purpose, contentOf(row), row.mac),
})

export const authenticEntry = authenticated('audit-entry', entryContent)
export const authenticSeal = authenticated('audit-seal', sealContent)
export const authenticHead = authenticated('audit-head', headContent)
export const authenticErasure = authenticated('audit-erasure', erasureContent)
