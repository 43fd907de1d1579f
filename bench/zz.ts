import { temporaryFolder } from '../test/support/node-process.ts'
import { measureThroughCa } from './ca.ts'
const folder = await temporaryFolder()
try { const r = await measureThroughCa(folder.path, 5); for (const x of r) console.log(x.through.toFixed(0), x.direct.toFixed(0), (x.through/x.direct).toFixed(2), x.microseconds.toFixed(0)) } finally { await folder.remove() }
