/** A device's report as it is stored. */
export interface CheckIn {
  readonly device: string
  readonly subscriber: string
  /** As text, in one order of its fields. */
  readonly facts: string
}

/** The latest report of each device, without a history. */
export interface CheckIns {
  /**
   * Replaces the device's last report. Writes only if something changed, or if the device's next hour has begun.
   * Rejects if the journal cannot be written.
   */
  keep(checkIn: CheckIn): Promise<void>
}
