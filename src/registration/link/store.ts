import { command, requireOneChange, type Command } from '../../ports/database.ts'

/**
 * Counts a wrong try after `before` others, in a batch that breaks where another try was counted meanwhile; the fifth
 * ends the registration.
 */
export const countWrongTry = (id: string, before: number): Command[] => [
  command(
    `UPDATE registrations
     SET wrong_tries = wrong_tries + 1, state = CASE WHEN wrong_tries >= 4 THEN 'ended' ELSE state END
     WHERE id = ? AND state = 'pending' AND wrong_tries = ?`,
    id,
    before,
  ),
  requireOneChange('another_try'),
]

/** Ends a registration of which no device has come yet; broken where there is none such. */
export const refuseRegistration = (id: string): Command[] => [
  command(`UPDATE registrations SET state = 'ended' WHERE id = ? AND state IN ('pending', 'confirmed')`, id),
  requireOneChange('registration_not_open'),
]
