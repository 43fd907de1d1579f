import {
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../ports/database.ts'

/** What decides whether a request can be sent through a connection now. */
export const readCircuit = (database: Database, connection: string) =>
  database.first(
    query(
      {
        state: oneOf('active', 'paused', 'removed'),
        failures: integer,
        openUntil: nullable(integer),
      },
      `SELECT state, failures, open_until AS openUntil FROM ca_connections WHERE id = ?`,
      connection,
    ),
  )

/** Counts a failure of a CA. With `openUntil` nothing is sent to it before that time. */
export const noteFailure = (connection: string, failure: string, openUntil: number | null, now: number): Command =>
  command(
    `UPDATE ca_connections
     SET failures = failures + 1, last_failure = ?, last_failure_at = ?, open_until = COALESCE(?, open_until)
     WHERE id = ?`,
    failure,
    now,
    openUntil,
    connection,
  )

/** Notes a success of a CA, at most once a minute. */
export const noteSuccess = (connection: string, now: number): Command =>
  command(
    `UPDATE ca_connections SET failures = 0, open_until = NULL, last_success_at = ?
     WHERE id = ?
       AND (failures > 0 OR open_until IS NOT NULL OR last_success_at IS NULL OR last_success_at < ?)`,
    now,
    connection,
    now - 60_000,
  )

/** Connections whose circuit has been open for long enough. */
export const readTrials = (database: Database, now: number) =>
  database.all(
    query(
      { id: text, failures: integer },
      `SELECT /* scan: a handful of connections */ id, failures
       FROM ca_connections WHERE state = 'active' AND open_until <= ?`,
      now,
    ),
  )

/** Takes the trial of a connection. Guard `trial_taken`: another worker has it. */
export const claimTrial = (connection: string, until: number, now: number): Command[] => [
  command(
    `UPDATE ca_connections SET open_until = ? WHERE id = ? AND state = 'active' AND open_until <= ?`,
    until,
    connection,
    now,
  ),
  requireOneChange('trial_taken'),
]

/**
 * Closes a circuit after a trial. Its failures stay counted until a certificate is issued, so the next failure opens
 * it for longer. Guard `trial_taken`: another worker has the trial.
 */
export const closeCircuit = (connection: string, trialUntil: number): Command[] => [
  command(`UPDATE ca_connections SET open_until = NULL WHERE id = ? AND open_until = ?`, connection, trialUntil),
  requireOneChange('trial_taken'),
]
