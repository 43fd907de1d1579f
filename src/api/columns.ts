import { oneOf } from '../ports/database.ts'
import { certificateUse } from './shapes.ts'

/** The readers of columns that several rooms have, whose values the API names. */
export const use = oneOf(...certificateUse.options)
