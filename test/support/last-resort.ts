/** How long a test may take before it is certain that it hangs. No test is measured against it. */
export const lastResortMilliseconds = 10 * 60_000
