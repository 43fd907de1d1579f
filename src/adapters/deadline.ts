/** Resolves when the work ends, or after the time. The work goes on in any case. */
export async function withinDeadline(work: Promise<void>, milliseconds: number): Promise<void> {
  let deadline: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    deadline = setTimeout(resolve, milliseconds)
  })
  await Promise.race([work, late])
  clearTimeout(deadline)
}
