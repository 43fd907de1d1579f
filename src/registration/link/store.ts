import { command, requireOneChange, type Command } from '../../ports/database.ts'

/** Ends a registration of which no device has come yet; broken where there is none such. */
export const refuseRegistration = (id: string): Command[] => [
  command(`UPDATE registrations SET state = 'ended' WHERE id = ? AND state IN ('pending', 'confirmed')`, id),
  requireOneChange('registration_not_open'),
]
