/** The most rows that one batch moves or deletes, so that a job does not hold the lock and the memory for long. */
export const rowsPerBatch = 5_000

/** Acts on each item. A failure does not stop the others; all failures are thrown together at the end. */
export async function toEach<T>(items: Iterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  for (const item of items) await act(item).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw new AggregateError(failures, 'what was to be done to each failed for some')
}

/**
 * Repeats a write that is limited to `rowsPerBatch`, until a round changes fewer rows. Resolves to the number of all
 * changed rows.
 */
export async function untilDone(round: () => Promise<number>): Promise<number> {
  let changed = 0
  for (;;) {
    const rows = await round()
    changed += rows
    if (rows < rowsPerBatch) return changed
  }
}

/** Does what `toEach` does, with up to `width` items at a time, begun in order. */
export async function toEachAtOnce<T>(
  items: readonly T[],
  width: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = []
  const remaining = items.values()
  const workOff = async (): Promise<void> => {
    for (const item of remaining) await act(item).catch((error: unknown) => failures.push(error))
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, workOff))
  if (failures.length > 0) throw new AggregateError(failures, 'what was to be done to each failed for some')
}

/** Lets others have a turn. Long work calls it after every few milliseconds, or lookups would wait for all of it. */
export const giveWay = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))

/** Resolves as the promise does, or to null if it takes longer. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
