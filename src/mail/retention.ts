/** How long a mail that was sent or given up leaves its trace: the limits a day need it, and who looks for failures. */
export const finishedKeptMilliseconds = 2 * 86_400_000
