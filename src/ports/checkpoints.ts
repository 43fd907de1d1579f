/** The place outside of the data where signed checkpoints of the audit log are kept. */
export interface CheckpointKeeper {
  /** All notes of the newest file, as one text. Empty if there is none. */
  newest(): Promise<string>
  /** Adds a note. Resolves when it is durable. `at`: UTC milliseconds. */
  keep(note: string, at: number): Promise<void>
}
