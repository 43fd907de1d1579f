import type { Check, Job } from '../api/room.ts'
import type { Audience } from '../api/shapes.ts'
import { dayAfter } from '../certificates/days.ts'
import { dayOf } from '../ports/time.ts'
import { openCertificate, openFacts, presentWithoutChain, type StoredFacts } from '../certificates/present.ts'
import { toHex } from '../pki/encoding.ts'
import { toEach } from '../ports/bounded.ts'
import { commitUnlessTaken, type Command } from '../ports/database.ts'
import { openText, SealBroken, sealText, type Place } from '../ports/keys.ts'
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

type ReadyDeps = Pick<DirectoryDeps, 'database' | 'keys' | 'events' | 'clock' | 'background'>

/** What certificates are looked up for. */
export type LookupUse = 'sign' | 'encrypt'

/** A certificate of an answer. */
export interface ReadyCertificate {
  /** Whose chain belongs to it. */
  readonly authority: string
  /** Its JSON without the chain, which comes last, and without the closing brace. */
  readonly begun: string
}

/** At most so many certificates of one address, the newest of each device. */
const certificatesPerAddress = 10

/** The bits of `ready_answers.serves`: who asks, and for what. */
const served = { members: { sign: 1, encrypt: 2 }, public: { sign: 4, encrypt: 8 } } as const
const audiences = ['members', 'public'] as const
const uses = ['sign', 'encrypt'] as const
const everyone = 15

/** The end of an answer that holds until the tables change. */
const forever = Number.MAX_SAFE_INTEGER

const answerPlace = (addressIndexHex: string, serves: number): Place => ({
  table: 'ready_answers',
  column: 'answer_sealed',
  row: `${addressIndexHex}/${serves}`,
})

/** A published certificate with what it says about itself. */
type Published = PublishedRow & { readonly facts: StoredFacts }

/** `rows` come newest first. */
const newestPerDevice = (rows: readonly Published[]): Published[] =>
  [...Map.groupBy(rows, ({ device }) => device).values()]
    .flatMap((ofDevice) => ofDevice.slice(0, 1))
    .slice(0, certificatesPerAddress)

/** The certificates of one address for an audience and a use. */
interface Choice {
  readonly serves: number
  readonly chosen: readonly Published[]
  /** The choice holds from here (UTC milliseconds, inclusive) … */
  readonly validFrom: number
  /** … until here (exclusive), when the validity of a certificate begins or ends. */
  readonly validUntil: number
}

const choose = (rows: readonly Published[], audience: Audience, use: LookupUse, now: number): Choice => {
  const fit = rows.filter(
    (row) => (row.audience === 'public' || row.audience === audience) && (row.use === use || row.use === 'dual'),
  )
  const turns = fit.flatMap(({ facts: { notBefore, notAfter } }) => [notBefore, notAfter])
  return {
    serves: served[audience][use],
    chosen: newestPerDevice(fit.filter(({ facts }) => facts.notBefore <= now && now < facts.notAfter)),
    validFrom: Math.max(0, ...turns.filter((turn) => turn <= now)),
    validUntil: Math.min(forever, ...turns.filter((turn) => turn > now)),
  }
}

/** One certificate in each line, after a line with its authority. JSON as it is written here has no line feeds. */
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

/** From when (inclusive) until when (exclusive) an answer holds, UTC milliseconds. */
type Hours = Pick<ReadyRow, 'validFrom' | 'validUntil'>

const isInTime = ({ validFrom, validUntil }: Hours, now: number): boolean => validFrom <= now && now < validUntil

/** The days that hold these times. */
const daysOf = ({ validFrom, validUntil }: Hours): Hours => ({
  validFrom: dayOf(validFrom),
  validUntil: validUntil === forever ? forever : dayAfter(validUntil),
})

/** An answer that was opened. */
interface Opened extends Hours {
  readonly text: string
}

/** What is sealed: a line with the exact times, then the certificates. */
const writeAnswer = ({ validFrom, validUntil, text }: Opened): string => `${validFrom} ${validUntil}\n${text}`

const readAnswer = (sealed: string): Opened => {
  const end = sealed.indexOf('\n')
  const [validFrom, validUntil] = sealed.slice(0, end).split(' ').map(Number)
  return { validFrom: validFrom ?? 0, validUntil: validUntil ?? 0, text: sealed.slice(end + 1) }
}

/** The answers of the directory. They are made when they change, not when somebody asks. */
export interface ReadyAnswers {
  /**
   * Finds what an audience gets for a use at some addresses, given by their indexes. The key of the map is the index
   * in hexadecimal; an address without certificates is not in it. Reads each time, so a withdrawal in any process
   * counts.
   */
  find(
    addressIndexes: readonly Uint8Array[],
    use: LookupUse,
    audience: Audience,
  ): Promise<ReadonlyMap<string, readonly ReadyCertificate[]>>
  /** Makes the answers of some addresses again, where they are out of date. */
  rewrite(addressIndexesHex: readonly string[]): Promise<void>
  /** Does this for all addresses, after the present request was answered. */
  rewriteSoon(): void
  readonly job: Job
  readonly check: Check
}

const addressesAtOnce = 200
/** How often the answers of one address are tried if they change meanwhile. After that the job does it. */
const rounds = 5

export function createReadyAnswers(deps: ReadyDeps): ReadyAnswers {
  const reader = deps.database.reading('primary')
  const rewriting = new Set<string>()

  const render = (row: Published): ReadyCertificate => ({
    authority: row.authority,
    begun: JSON.stringify(presentWithoutChain(openCertificate(deps.keys, row, row.facts))).slice(0, -1),
  })

  /** A ready answer that is there. Null, with an event, where this service did not write it here. */
  const opened = (hex: string, { id, serves }: ReadyRow, sealed: Uint8Array): Opened | null => {
    try {
      return readAnswer(openText(deps.keys.main, answerPlace(hex, serves), sealed))
    } catch (error) {
      if (!(error instanceof SealBroken)) throw error
      deps.events.authorityRefused({ table: 'ready_answers', row: String(id) })
      return null
    }
  }

  /** The answers of one address, made from the tables: one for each different list of certificates. */
  const answersOf = (rows: readonly Published[], now: number) => {
    const choices = audiences.flatMap((audience) => uses.map((use) => choose(rows, audience, use, now)))
    // A choice without certificates is stored if there is something at another time, also an earlier one: clocks can be
    // set back.
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

  const readTables = async (addressIndexesHex: readonly string[]): Promise<Map<string, Published[]>> => {
    const rows = await readPublished(deps, reader, addressIndexesHex)
    return Map.groupBy(
      rows.map((row) => ({ ...row, facts: openFacts(deps.keys, row) })),
      ({ addressIndex }) => toHex(addressIndex),
    )
  }

  /** An answer is out of date also from its exact end on. One that cannot be opened is not. */
  const isOutdated = (hex: string, row: ReadyRow, now: number): boolean =>
    row.answerSealed === null || !isInTime(row, now) || !isInTime(opened(hex, row, row.answerSealed) ?? row, now)

  /** The commands that correct the answers of some addresses. Empty if they are right. */
  const commandsFor = async (addressIndexesHex: readonly string[]): Promise<Command[]> => {
    // These rows are read before the tables. A change in between replaces them, and the guard breaks.
    const known = Map.groupBy(await readReadyOf(reader, addressIndexesHex, everyone), ({ addressIndex }) =>
      toHex(addressIndex),
    )
    const now = deps.clock()
    const outdated = [...known].filter(([hex, rows]) => rows.some((row) => isOutdated(hex, row, now)))
    if (outdated.length === 0) return []
    const published = await readTables(outdated.map(([hex]) => hex))
    return outdated.flatMap(([hex, [row]]) => {
      if (row === undefined) return []
      const answers = answersOf(published.get(hex) ?? [], now).map((answer) => ({
        serves: answer.serves,
        ...daysOf(answer),
        answerSealed: sealText(deps.keys.main, answerPlace(hex, answer.serves), writeAnswer(answer)),
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

  /** Makes all answers that are due. One address that fails does not stop the others. */
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
      const answer = row.answerSealed !== null && isInTime(row, now) ? opened(hex, row, row.answerSealed) : null
      if (answer === null || !isInTime(answer, now)) {
        outdated.push(hex)
        continue
      }
      const certificates = parse(answer.text)
      if (certificates.length > 0) found.set(hex, certificates)
    }
    if (outdated.length === 0) return found
    for (const [hex, published] of await readTables(outdated)) {
      const { chosen } = choose(published, audience, use, now)
      if (chosen.length > 0) found.set(hex, chosen.map(render))
    }
    rewriteInBackground(outdated)
    return found
  }

  /** The faults in the answers of some addresses. An answer that is out of date is no fault. */
  const faultsOf = async (addressIndexesHex: readonly string[]): Promise<string[]> => {
    const now = deps.clock()
    const known = Map.groupBy(await readReadyOf(reader, addressIndexesHex, everyone), ({ addressIndex }) =>
      toHex(addressIndex),
    )
    const published = await readTables(addressIndexesHex)
    return addressIndexesHex.flatMap((hex) => {
      const rows = known.get(hex) ?? []
      if (rows.some((row) => isOutdated(hex, row, now))) return []
      const expected = audiences.flatMap((audience) =>
        uses.map((use) => choose(published.get(hex) ?? [], audience, use, now)),
      )
      return expected.flatMap(({ serves, chosen }) => {
        const fitting = rows.filter((row) => (row.serves & serves) !== 0)
        const said = fitting.map((row) => opened(hex, row, row.answerSealed ?? new Uint8Array())?.text)
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
