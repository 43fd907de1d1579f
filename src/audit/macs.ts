import { rowMacOf } from '../ports/row-mac.ts'

/**
 * What the MACs of the audit log stand over: all columns of a row but the MAC. An entry's position is left out, because
 * the database gives it; the seals cover it.
 */

export const entryMac = rowMacOf('audit-entry', [
  'id',
  'at',
  'action',
  'actorKind',
  'actor',
  'subjectKind',
  'subject',
  'facts',
  'commitments',
])
export const sealMac = rowMacOf('audit-seal', ['number', 'predecessor', 'firstPosition', 'lastPosition', 'hash', 'at'])
export const headMac = rowMacOf('audit-head', ['seals', 'lastPosition', 'hash'])
export const erasureMac = rowMacOf('audit-erasure', ['entry', 'field', 'why', 'at'])
