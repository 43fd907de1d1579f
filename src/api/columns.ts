import { oneOf } from '../ports/database.ts'
import { certificateUse } from './shapes.ts'

/** Reads a column whose values the API names too. Several rooms have it. */
export const use = oneOf(...certificateUse.options)
