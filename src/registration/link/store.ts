import { command, requireOneChange, type Command } from '../../ports/database.ts'

/** Ends a registration. Guard: it is pending or confirmed, and no device has come of it. */
export const refuseRegistration = (id: string): Command[] => [
  command(`UPDATE registrations SET state = 'ended' WHERE id = ? AND state IN ('pending', 'confirmed')`, id),
  requireOneChange('registration_not_open'),
]
