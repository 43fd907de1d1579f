import { z } from 'zod'
import type { CrowdOrder, CrowdReport } from './crowd-process.ts'
import { LoadGenerator } from './generator.ts'

const counts = z.record(z.string(), z.number())
const report = z.object({
  lookups: counts,
  dear: counts,
  seconds: z.number(),
  p50Milliseconds: z.number(),
  cores: z.number(),
})

/** A crowd of clients in a process of its own. */
export type Crowd = LoadGenerator<CrowdOrder, CrowdReport>

export const startCrowd = (): Promise<Crowd> => LoadGenerator.start('crowd-process.ts', report)
