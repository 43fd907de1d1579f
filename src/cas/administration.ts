import type { CaCheckAnswer, CaConnectionAnswer, CaConnectionRequest } from '../api/ca-shapes.ts'
import { pageFrom, readCursor } from '../api/paging.ts'
import {
  changeConnection,
  makeConnection,
  noSuchConnection,
  noteTest,
  pauseConnection,
  putClientCertificate,
  removeConnection,
  requireConnection,
  resumeConnection,
} from './change.ts'
import { judgeCheck } from './judge-check.ts'
import type { Opening } from './open.ts'
import { presentConnection } from './present.ts'
import type { CaDeps } from './deps.ts'
import { readConnection, readConnections } from './store.ts'

/** What operators see of the CA connections and do with them; `by` is an administrator's id, or the command line. */
export interface ConnectionAdministration {
  /** One page of those that were not removed, newest first. */
  list(question: {
    readonly limit: number
    readonly cursor?: string | undefined
  }): Promise<{ items: CaConnectionAnswer[]; next: string | null }>
  /** One of them, or one that was removed. Throws `not_found`. */
  read(id: string): Promise<CaConnectionAnswer>
  /** See `makeConnection`. */
  make(request: CaConnectionRequest, by: string): Promise<CaConnectionAnswer>
  /** See `changeConnection`. */
  change(id: string, version: number, request: CaConnectionRequest, by: string): Promise<CaConnectionAnswer>
  /** See `putClientCertificate`. */
  certify(id: string, certificate: string, by: string): Promise<CaConnectionAnswer>
  /** See `pauseConnection`. */
  pause(id: string, by: string): Promise<CaConnectionAnswer>
  /** See `resumeConnection`. */
  resume(id: string, by: string): Promise<CaConnectionAnswer>
  /** See `removeConnection`. */
  remove(id: string, by: string): Promise<void>
  /**
   * Looks at the CA without leaving anything there, also while the connection is paused; see `judgeCheck`. Throws
   * `not_found`.
   */
  test(id: string, by: string): Promise<CaCheckAnswer>
}

export function createConnectionAdministration(deps: CaDeps, { prepare }: Opening): ConnectionAdministration {
  const read = async (id: string): Promise<CaConnectionAnswer> => {
    const row = await readConnection(deps.database, id)
    if (row === null) throw noSuchConnection()
    return presentConnection(deps, row, prepare(row), await deps.uses.countRequests())
  }
  return {
    read,
    list: async ({ limit, cursor }) => {
      const { at, id } = readCursor(cursor)
      const rows = (await readConnections(deps.database)).filter(
        (row) => row.state !== 'removed' && (row.createdAt < at || (row.createdAt === at && row.id < id)),
      )
      const page = pageFrom(rows, limit)
      const counts = await deps.uses.countRequests()
      const items = await Promise.all(page.rows.map((row) => presentConnection(deps, row, prepare(row), counts)))
      return { items, next: page.next }
    },
    make: async (request, by) => read(await makeConnection(deps, request, by)),
    change: async (id, version, request, by) => {
      await changeConnection(deps, { id, version }, request, by)
      return read(id)
    },
    certify: async (id, certificate, by) => {
      await putClientCertificate(deps, id, certificate, by)
      return read(id)
    },
    pause: async (id, by) => {
      await pauseConnection(deps, id, by)
      return read(id)
    },
    resume: async (id, by) => {
      await resumeConnection(deps, id, by)
      return read(id)
    },
    remove: (id, by) => removeConnection(deps, id, by),
    test: async (id, by) => {
      const { adapter, trust } = prepare(await requireConnection(deps, id))
      const tested = await judgeCheck(deps, id, trust, await adapter.check())
      await noteTest(deps, id, tested.failure, by)
      return tested
    },
  }
}
