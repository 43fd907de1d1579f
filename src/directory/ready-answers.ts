import type { Check, Job } from '../api/room.ts'
import type { Audience } from '../api/shapes.ts'
import { openCertificate, presentWithoutChain } from '../certificates/present.ts'
import { toHex } from '../pki/encoding.ts'
import { toEach } from '../ports/bounded.ts'
import { commitUnlessTaken, type Command } from '../ports/database.ts'
import { openText, sealText, type Place } from '../ports/keys.ts'
import type { DirectoryDeps } from './deps.ts'
import {
  readPublished,
  readReady,
  readReadyAfter,
  readReadyDue,
  readReadyOf,
  readUnanswered,
  replaceReady,
  type PublishedRow,
  type ReadyRow,
} from './store.ts'

type ReadyDeps = Pick<DirectoryDeps, 'database' | 'keys' | 'clock' | 'background'>

/** What certificates are looked up for. */
export type LookupUse = 'sign' | 'encrypt'

/** A certificate of an answer. */
export interface ReadyCertificate {
  /** Whose chain belongs to it. */
  readonly authority: string
  /** Its JSON without the chain, which is to come last, and without the closing brace. */
  readonly begun: string
}

/** The newest of each device, and at most this many for one address. */
const certificatesPerAddress = 10

/** In `ready_answers.serves`: who asks, and for what. */
const served = { members: { sign: 1, encrypt: 2 }, public: { sign: 4, encrypt: 8 } } as const
const audiences = ['members', 'public'] as const
const uses = ['sign', 'encrypt'] as const
const everyone = 15

/** The end of an answer that nothing but a change of the tables ends. */
const forever = Number.MAX_SAFE_INTEGER

const answerPlace = (addressIndexHex: string, serves: number): Place => ({
  table: 'ready_answers',
  column: 'answer_sealed',
  row: `${addressIndexHex}/${serves}`,
})

/** `rows` come newest first. */
const newestPerDevice = (rows: readonly PublishedRow[]): PublishedRow[] =>
  [...Map.groupBy(rows, ({ device }) => device).values()]
    .flatMap((ofDevice) => ofDevice.slice(0, 1))
    .slice(0, certificatesPerAddress)

/** What an audience finds for a use among the published certificates of one address. */
interface Choice {
  readonly serves: number
  readonly chosen: readonly PublishedRow[]
  /** The choice is the same from here on (UTC milliseconds, inclusive) … */
  readonly validFrom: number
  /** … and until here (exclusive): then a certificate begins or ends to be in time. */
  readonly validUntil: number
}

const choose = (rows: readonly PublishedRow[], audience: Audience, use: LookupUse, now: number): Choice => {
  const fit = rows.filter(
    (row) => (row.audience === 'public' || row.audience === audience) && (row.use === use || row.use === 'dual'),
  )
  const turns = fit.flatMap(({ notBefore, notAfter }) => [notBefore, notAfter])
  return {
    serves: served[audience][use],
    chosen: newestPerDevice(fit.filter(({ notBefore, notAfter }) => notBefore <= now && now < notAfter)),
    validFrom: Math.max(0, ...turns.filter((turn) => turn <= now)),
    validUntil: Math.min(forever, ...turns.filter((turn) => turn > now)),
  }
}

/** One certificate a line, behind a line with its authority: JSON has no line feed of its own. */
const write = (certificates: readonly ReadyCertificate[]): string =>
  certificates.map(({ authority, begun }) => `${authority}\n${begun}`).join('\n')

const parse = (text: string): ReadyCertificate[] => {
  if (text === '') return []
  const lines = text.split('\n')
  const certificates: ReadyCertificate[] = []
  for (let at = 0; at + 1 < lines.length; at += 2) {
    certificates.push({ authority: lines[at] ?? '', begun: lines[at + 1] ?? '' })
  }
  return certificates
}

const isInTime = (row: Pick<ReadyRow, 'validFrom' | 'validUntil'>, now: number): boolean =>
  row.validFrom <= now && now < row.validUntil

/** The answers of the directory, made when they change and not when they are asked for. */
export interface ReadyAnswers {
  /**
   * What an audience finds for a use at some addresses, given by their indexes: by the index in hexadecimal, without an
   * entry where nothing is found. Reads each time, so that what was withdrawn in any process is gone.
   */
  find(
    addressIndexes: readonly Uint8Array[],
    use: LookupUse,
    audience: Audience,
  ): Promise<ReadonlyMap<string, readonly ReadyCertificate[]>>
  /** Makes the answers of some addresses anew, as far as they are out of date. */
  rewrite(addressIndexesHex: readonly string[]): Promise<void>
  /** The same of all addresses, after the answer of the request at hand. */
  rewriteSoon(): void
  readonly job: Job
  readonly check: Check
}

const addressesAtOnce = 200
/** How often an address is tried whose answers change while they are made; the job comes back to it. */
const rounds = 5

export function createReadyAnswers(deps: ReadyDeps): ReadyAnswers {
  const reader = deps.database.reading('primary')
  const rewriting = new Set<string>()

  const render = (row: PublishedRow): ReadyCertificate => ({
    authority: row.authority,
    begun: JSON.stringify(presentWithoutChain(openCertificate(deps.keys, row))).slice(0, -1),
  })

  /** The answers of one address as the tables have it: one for each different list of certificates. */
  const answersOf = (rows: readonly PublishedRow[], now: number) => {
    const choices = audiences.flatMap((audience) => uses.map((use) => choose(rows, audience, use, now)))
    // A row that finds nothing is kept where another time finds something, also an earlier one: clocks are set back.
    const lasting = choices.filter(
      ({ chosen, validFrom, validUntil }) => chosen.length > 0 || validFrom > 0 || validUntil < forever,
    )
    const same = Map.groupBy(lasting, ({ chosen }) => chosen.map(({ id }) => id).join(' '))
    return Array.from(same.values(), (group) => ({
      serves: group.reduce((sum, { serves }) => sum + serves, 0),
      text: write((group[0]?.chosen ?? []).map(render)),
      validFrom: Math.max(...group.map(({ validFrom }) => validFrom)),
      validUntil: Math.min(...group.map(({ validUntil }) => validUntil)),
    }))
  }

  const readTables = async (addressIndexesHex: readonly string[]): Promise<Map<string, PublishedRow[]>> =>
    Map.groupBy(await readPublished(reader, addressIndexesHex), ({ addressIndex }) => toHex(addressIndex))

  /** The commands that put the answers of some addresses in order; empty where they are. */
  const commandsFor = async (addressIndexesHex: readonly string[]): Promise<Command[]> => {
    // Read before the tables: a change in between replaces these rows, and the guard breaks.
    const known = Map.groupBy(await readReadyOf(reader, addressIndexesHex, everyone), ({ addressIndex }) =>
      toHex(addressIndex),
    )
    const now = deps.clock()
    const outdated = [...known].filter(([, rows]) =>
      rows.some((row) => row.answerSealed === null || !isInTime(row, now)),
    )
    if (outdated.length === 0) return []
    const published = await readTables(outdated.map(([hex]) => hex))
    return outdated.flatMap(([hex, [row]]) => {
      if (row === undefined) return []
      const answers = answersOf(published.get(hex) ?? [], now).map(({ text, ...answer }) => ({
        ...answer,
        answerSealed: sealText(deps.keys.main, answerPlace(hex, answer.serves), text),
      }))
      return replaceReady(row.id, row.addressIndex, answers)
    })
  }

  const rewrite = async (addressIndexesHex: readonly string[]): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      const commands = await commandsFor(addressIndexesHex)
      if (commands.length === 0 || (await commitUnlessTaken(deps.database, commands))) return
    }
  }

  /** All that is due. One address that cannot be read holds up no other. */
  const rewriteDue = async (): Promise<void> => {
    for (;;) {
      const due = await readReadyDue(reader, deps.clock(), addressesAtOnce)
      const addresses = [...new Set(due.map(({ addressIndex }) => toHex(addressIndex)))]
      if (addresses.length === 0) return
      await rewrite(addresses).catch(() => toEach(addresses, (address) => rewrite([address])))
      if (due.length < addressesAtOnce) return
    }
  }

  const rewriteInBackground = (addressIndexesHex: readonly string[]): void => {
    const fresh = addressIndexesHex.filter((hex) => !rewriting.has(hex))
    if (fresh.length === 0) return
    for (const hex of fresh) rewriting.add(hex)
    deps.background.run('ready-answers', async () => {
      try {
        await rewrite(fresh)
      } finally {
        for (const hex of fresh) rewriting.delete(hex)
      }
    })
  }

  const find: ReadyAnswers['find'] = async (addressIndexes, use, audience) => {
    const serves = served[audience][use]
    const found = new Map<string, readonly ReadyCertificate[]>()
    const [only, second] = addressIndexes
    if (only === undefined) return found
    const now = deps.clock()
    const one = second === undefined ? await readReady(reader, only, serves) : null
    const rows =
      second === undefined ? (one === null ? [] : [one]) : await readReadyOf(reader, addressIndexes.map(toHex), serves)
    const outdated: string[] = []
    for (const row of rows) {
      const hex = toHex(row.addressIndex)
      if (row.answerSealed === null || !isInTime(row, now)) outdated.push(hex)
      else {
        const certificates = parse(openText(deps.keys.main, answerPlace(hex, row.serves), row.answerSealed))
        if (certificates.length > 0) found.set(hex, certificates)
      }
    }
    if (outdated.length === 0) return found
    for (const [hex, published] of await readTables(outdated)) {
      const { chosen } = choose(published, audience, use, now)
      if (chosen.length > 0) found.set(hex, chosen.map(render))
    }
    rewriteInBackground(outdated)
    return found
  }

  /** What is wrong with the answers of some addresses; those that are out of date say nothing. */
  const faultsOf = async (addressIndexesHex: readonly string[]): Promise<string[]> => {
    const now = deps.clock()
    const known = Map.groupBy(await readReadyOf(reader, addressIndexesHex, everyone), ({ addressIndex }) =>
      toHex(addressIndex),
    )
    const published = await readTables(addressIndexesHex)
    return addressIndexesHex.flatMap((hex) => {
      const rows = known.get(hex) ?? []
      if (rows.some((row) => row.answerSealed === null || !isInTime(row, now))) return []
      const expected = audiences.flatMap((audience) =>
        uses.map((use) => choose(published.get(hex) ?? [], audience, use, now)),
      )
      return expected.flatMap(({ serves, chosen }) => {
        const fitting = rows.filter((row) => (row.serves & serves) !== 0)
        const said = fitting.map(({ serves: all, answerSealed }) =>
          openText(deps.keys.main, answerPlace(hex, all), answerSealed ?? new Uint8Array()),
        )
        const right = write(chosen.map(render))
        return said.length <= 1 && (said[0] ?? '') === right ? [] : [`${hex} for ${serves} differs from the tables`]
      })
    })
  }

  return {
    find,
    rewrite,
    rewriteSoon: () => deps.background.run('ready-answers', rewriteDue),
    job: { name: 'ready-answers', cron: '* * * * *', run: rewriteDue },
    check: {
      name: 'ready answers say what the tables say',
      run: async () => {
        const faults = await faultsOf((await readUnanswered(reader)).map(({ addressIndex }) => toHex(addressIndex)))
        for (let after = 0; ;) {
          const page = await readReadyAfter(reader, after, addressesAtOnce)
          const last = page.at(-1)
          if (last === undefined) return faults
          after = last.id
          faults.push(...(await faultsOf([...new Set(page.map(({ addressIndex }) => toHex(addressIndex)))])))
        }
      },
    },
  }
}
