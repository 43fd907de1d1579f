import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

/**
 * The first half of `npm run prepack`: an empty `dist/` with a package.json of its own, so that `npm pack ./dist` makes
 * a package that brings an app what the client library needs and nothing of the service.
 */

const root = new URL('../', import.meta.url)
const dist = new URL('dist/', root)

const {
  exports: entries,
  dependencies,
  ...facts
} = z
  .object({
    version: z.string(),
    description: z.string(),
    license: z.string(),
    type: z.literal('module'),
    dependencies: z.object({ tr46: z.string(), zod: z.string() }),
    exports: z.object({ './client': z.object({ types: z.string(), default: z.string() }) }),
  })
  .parse(JSON.parse(readFileSync(new URL('package.json', root), 'utf8')))

const fromDist = (path: string): string => path.replace(/^\.\/dist\//, './')
const { types, default: code } = entries['./client']

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)
const manifest = {
  name: 'certbook',
  private: true,
  ...facts,
  sideEffects: false,
  exports: { './client': { types: fromDist(types), default: fromDist(code) } },
  dependencies,
}
writeFileSync(new URL('package.json', dist), `${JSON.stringify(manifest, null, 2)}\n`)
