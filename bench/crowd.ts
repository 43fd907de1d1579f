import { z } from 'zod'
import type { CrowdOrder, CrowdReport } from './crowd-process.ts'
import { Generator } from './generator.ts'

const counts = z.record(z.string(), z.number())
const report = z.object({
  lookups: counts,
  dear: counts,
  seconds: z.number(),
  p50Milliseconds: z.number(),
  cores: z.number(),
})

/** A crowd of clients in a process of its own. */
export type Crowd = Generator<CrowdOrder, CrowdReport>

export const startCrowd = (): Promise<Crowd> => Generator.start('crowd-process.ts', report)
