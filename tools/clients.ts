import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { openRoomHarness } from '../test/support/engines.ts'
import { readDocument } from './clients/document.ts'
import { kotlinFile } from './clients/kotlin.ts'
import { modelOf } from './clients/model.ts'
import { swiftFile } from './clients/swift.ts'

/**
 * The calls of a device for apps that are not written in JavaScript, made from the OpenAPI document. The generators
 * that npm has make models without calls, or calls for one of the two languages and a library beside; the rest are
 * Java programs.
 */

const folder = new URL('../docs/clients/', import.meta.url)
const prelude = (name: string): string => readFileSync(new URL(`clients/${name}`, import.meta.url), 'utf8')

/** The generated files by their names in docs/clients/. */
export function clientFiles(openApi: unknown): Readonly<Record<string, string>> {
  const model = modelOf(readDocument(openApi))
  return {
    'CertbookCalls.kt': kotlinFile(model, prelude('prelude.kt')),
    'CertbookCalls.swift': swiftFile(model, prelude('prelude.swift')),
  }
}

/** Those that are not what the document says now. */
export const outdatedClients = (openApi: unknown): string[] =>
  Object.entries(clientFiles(openApi))
    .filter(([name, text]) => readFileSync(new URL(name, folder), 'utf8') !== text)
    .map(([name]) => name)

async function readOpenApi(): Promise<unknown> {
  const harness = await openRoomHarness('sqlite')
  try {
    return await (await harness.ask('/openapi.json')).json()
  } finally {
    await harness.close()
  }
}

if (import.meta.main) {
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(clientFiles(await readOpenApi())))
    writeFileSync(new URL(name, folder), text)
}
