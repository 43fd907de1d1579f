import 'reflect-metadata'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  X509Certificate,
  X509CrlGenerator,
  type Extension,
  type X509CrlEntryParams,
  type X509CrlReason,
} from '@peculiar/x509'
import type { TestCa } from './test-ca.ts'

/** A revocation list of a test's CA; what is not given is as a CA would have it. */
export interface TestList {
  readonly ca: Pick<TestCa, 'issuing' | 'issuingKey'>
  /** Hexadecimal. */
  readonly serialNumbers?: readonly string[]
  readonly reason?: X509CrlReason
  readonly entries?: readonly X509CrlEntryParams[]
  readonly thisUpdate: Date
  readonly nextUpdate?: Date
  readonly extensions?: readonly Extension[]
}

/** Signs a list with the key of a CA of a test, by code that nobody here wrote. */
export async function makeList(list: TestList): Promise<Uint8Array> {
  const { ca, serialNumbers = [], reason, entries = [], thisUpdate, nextUpdate, extensions = [] } = list
  const crl = await X509CrlGenerator.create({
    issuer: new X509Certificate(new Uint8Array(ca.issuing)).subjectName,
    thisUpdate,
    nextUpdate: nextUpdate ?? new Date(thisUpdate.getTime() + 7 * 86_400_000),
    entries: [
      ...serialNumbers.map((serialNumber) => ({
        serialNumber,
        revocationDate: thisUpdate,
        ...(reason === undefined ? {} : { reason }),
      })),
      ...entries,
    ],
    extensions: [...extensions],
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    signingKey: ca.issuingKey,
  })
  return new Uint8Array(crl.rawData)
}

/** A server of revocation lists. */
export interface ListServer {
  /** What is there, by its path; anything else is 404. */
  readonly lists: Map<string, Uint8Array | string>
  /** The paths that were asked for. */
  readonly asked: readonly string[]
  readonly urlOf: (path: string) => string
  close(): Promise<void>
}

export async function startListServer(): Promise<ListServer> {
  const lists = new Map<string, Uint8Array | string>()
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const body = lists.get(path)
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/pkix-crl' }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    lists,
    asked,
    urlOf: (path) => `http://127.0.0.1:${port}${path}`,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
