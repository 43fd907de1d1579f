/** Resolves with the work, or without it when it takes longer; the work itself goes on. */
export async function withinDeadline(work: Promise<void>, milliseconds: number): Promise<void> {
  let deadline: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    deadline = setTimeout(resolve, milliseconds)
  })
  await Promise.race([work, late])
  clearTimeout(deadline)
}
