/**
 * Whether this run takes its time: `npm run test:drills` does. `npm test` tries the same things with fewer inputs, so
 * that it stays short.
 */
export const thorough = process.env['TEST_THOROUGH'] === 'yes'

/** How many inputs a property is tried with: all of them in a thorough run, else a fifth. */
export const runs = (all: number): number => (thorough ? all : Math.ceil(all / 5))
