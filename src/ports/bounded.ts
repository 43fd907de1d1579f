/** How many rows one batch moves or deletes at most: a job holds no lock, and no memory, for longer than that takes. */
export const rowsPerBatch = 5_000

/**
 * Repeats a write that is bounded by `rowsPerBatch` until a round changed fewer rows than that. Resolves to how many
 * were changed in all.
 */
export async function untilDone(round: () => Promise<number>): Promise<number> {
  let changed = 0
  for (;;) {
    const rows = await round()
    changed += rows
    if (rows < rowsPerBatch) return changed
  }
}
