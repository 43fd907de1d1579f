import { z } from 'zod'
import { LoadGenerator } from './generator.ts'
import type { LoadOrder, LoadReport } from './load-process.ts'

const report = z.object({
  answers: z.number(),
  found: z.number(),
  writes: z.number(),
  seconds: z.number(),
  p50Milliseconds: z.number(),
  p99Milliseconds: z.number(),
  cores: z.number(),
})

/** The load generator of a stock. */
export type Load = LoadGenerator<LoadOrder, LoadReport>

export const startLoad = (stockFolder: string): Promise<Load> =>
  LoadGenerator.start('load-process.ts', report, [stockFolder])
