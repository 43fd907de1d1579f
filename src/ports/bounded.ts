/** How many rows one batch moves or deletes at most: a job holds no lock, and no memory, for longer than that takes. */
export const rowsPerBatch = 5_000

/** Does one thing to each; one that fails holds up no other, and the failures are thrown together at the end. */
export async function toEach<T>(items: Iterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  for (const item of items) await act(item).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw new AggregateError(failures, 'what was to be done to each failed for some')
}

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

/** The same with up to `width` at a time, begun in their order. */
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

/** What the promise resolves to, or null where it takes longer. */
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
