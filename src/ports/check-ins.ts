/** A device's report as it is kept. */
export interface CheckIn {
  readonly device: string
  readonly subscriber: string
  /** As text, in one order of its fields. */
  readonly facts: string
}

/** The latest report of each device, without a history. */
export interface CheckIns {
  /**
   * Keeps a report in the place of the device's last one. It writes only where something changed or the device's next hour
   * has begun. Rejects where the journal cannot be written.
   */
  keep(checkIn: CheckIn): Promise<void>
}
