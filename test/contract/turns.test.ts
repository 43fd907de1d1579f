import { afterEach, expect, test } from 'vitest'
import { HttpListener, type ListenerOptions } from '../../src/adapters/http-listener.ts'
import type { TurnLimits } from '../../src/adapters/turns.ts'
import type { DeclaredWork } from '../../src/ports/work.ts'
import { listenerOptions, SetTurnClock, turnsOf } from '../support/listener.ts'
import { lastAnswer, RawClient } from '../support/raw-client.ts'

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
})

const works: Readonly<Record<string, DeclaredWork>> = {
  dear: 'dear',
  anonymous: 'anonymous',
  enrolment: 'enrolment',
  member: 'member',
  essential: 'essential',
}

const nameOf = (path: string): string => path.split('/')[2] ?? ''

/** A listener whose answers wait until the test lets them go. Paths are `/<work>/<name>`. */
class Stage {
  readonly clock = new SetTurnClock()
  /** The names of requests in the order in which they were begun. */
  readonly begun: string[] = []
  /** The names of those that had to wait, or were turned away, in the order in which they came. */
  readonly waited: string[] = []
  readonly turns
  readonly #limits: Partial<TurnLimits>
  readonly #held = new Map<string, () => void>()
  #listener: HttpListener | null = null

  constructor(limits: Partial<TurnLimits>) {
    this.#limits = limits
    this.turns = turnsOf(this.#limits, this.clock)
  }

  async open(more: Partial<ListenerOptions> = {}): Promise<void> {
    const listener = await HttpListener.open(listenerOptions({}, { turns: this.turns, ...more }))
    opened.push(() => listener.abandon())
    this.#listener = listener
    listener.answerWith(
      async (request, bindings) => {
        if (request.headers.has('Authorization')) bindings.recognised?.()
        const name = nameOf(new URL(request.url).pathname)
        this.begun.push(name)
        await new Promise<void>((resolve) => this.#held.set(name, resolve))
        return new Response(name.startsWith('large') ? new Uint8Array(8 * 1_024 * 1_024) : `answer of ${name}`)
      },
      (_, path) => {
        this.waited.push(nameOf(path))
        return works[path.split('/')[1] ?? ''] ?? 'anonymous'
      },
    )
  }

  async client(from: string): Promise<RawClient> {
    const raw = await RawClient.open(this.#listener?.url ?? '', '127.0.0.1', from)
    opened.push(() => raw.close())
    return raw
  }

  /** Asks on a connection of its own; resolves once the service has begun it, has it wait or has turned it away. */
  async ask(from: string, path: string, fields = ''): Promise<RawClient> {
    const name = nameOf(`/${path}`)
    const raw = await this.client(from)
    raw.send(`GET /${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`)
    await expect.poll(() => [...this.begun, ...this.waited], { interval: 2 }).toContain(name)
    return raw
  }

  /** Answers one request, and resolves once so many have begun. */
  async answer(name: string, begun: number): Promise<void> {
    this.#held.get(name)?.()
    await expect.poll(() => this.begun.length, { interval: 2 }).toBe(begun)
  }
}

const stageOf = async (limits: Partial<TurnLimits>, more: Partial<ListenerOptions> = {}): Promise<Stage> => {
  const stage = new Stage(limits)
  await stage.open(more)
  return stage
}

const refused = async (raw: RawClient): Promise<unknown[]> => {
  const { status, head, body } = lastAnswer(await raw.until((received) => received.includes('\r\n\r\n{')))
  const problem: { code?: unknown } = Object(body)
  return [status, /retry-after: (\d+)/i.exec(head)?.[1], problem.code]
}
const turnedAway = [503, '2', 'overloaded']

test('each network has its turn, however many requests another one has', async () => {
  const stage = await stageOf({ atOnce: 1 })
  for (let number = 1; number <= 4; number += 1) await stage.ask(`127.0.1.${number}`, `member/a${number}`)
  await stage.ask('127.0.2.1', 'member/b1')
  await stage.ask('127.0.2.1', 'member/b2')
  await stage.ask('127.0.3.1', 'member/c1')
  expect(stage.begun).toEqual(['a1', 'b1'])
  for (const [name, begun] of [
    ['a1', 3],
    ['b1', 4],
    ['a2', 5],
    ['b2', 6],
    ['a3', 7],
  ] as const) {
    await stage.answer(name, begun)
  }
  expect(stage.begun).toEqual(['a1', 'b1', 'a2', 'b2', 'c1', 'a3', 'a4'])
})

test('a network that has its part running leaves the others theirs at once', async () => {
  const stage = await stageOf({ atOnce: 3 })
  for (let number = 1; number <= 20; number += 1) await stage.ask('127.0.1.1', `member/a${number}`)
  await stage.ask('127.0.2.1', 'member/b1')
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(['a1', 'a2', 'a3', 'b1'])
})

test('behind a declared proxy, it is the network of its client that has a turn', async () => {
  const stage = await stageOf({ atOnce: 1 }, { isProxy: () => true })
  for (const name of ['a1', 'a2']) await stage.ask('127.0.1.1', `member/${name}`, 'X-Forwarded-For: 192.0.2.1\r\n')
  await stage.ask('127.0.1.1', 'member/b1', 'X-Forwarded-For: 198.51.100.1\r\n')
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(['a1', 'b1'])
})

test('requests that are sent before an answer came are answered one after the other', async () => {
  const stage = await stageOf({ atOnce: 8 })
  const raw = await stage.client('127.0.1.1')
  raw.send(['p1', 'p2', 'p3'].map((name) => `GET /member/${name} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(['p1'])
  await stage.ask('127.0.1.2', 'member/q')
  expect(stage.begun).toEqual(['p1', 'q'])
  await stage.answer('p1', 3)
  await stage.answer('p2', 4)
  await stage.answer('p3', 4)
  const received = await raw.until((text) => text.includes('answer of p3'))
  expect(received.match(/answer of p\d/g)).toEqual(['answer of p1', 'answer of p2', 'answer of p3'])
  raw.send('GET /member/p4 HTTP/1.1\r\nHost: a\r\n\r\n')
  await expect.poll(() => stage.begun, { interval: 2 }).toContain('p4')
})

test('a body that does not come takes nobody a turn, and few of them are begun', async () => {
  const stage = await stageOf({ atOnce: 1 })
  const slow: RawClient[] = []
  for (let number = 1; number <= 18; number += 1) {
    const raw = await stage.client('127.0.1.1')
    raw.send(`POST /member/slow${number} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab`)
    slow.push(raw)
  }
  await expect.poll(() => stage.begun.length, { interval: 2 }).toBe(16)
  await stage.ask('127.0.1.1', 'member/whole')
  expect(stage.begun.at(-1)).toBe('whole')
  await stage.answer('whole', 17)
  for (const raw of slow) raw.send('cd')
  await expect.poll(() => stage.begun.length, { interval: 2 }).toBe(18)
  await stage.answer(stage.begun.at(-1) ?? '', 19)
})

test('a body that comes later passes by nobody who waits, and is turned away as it would be', async () => {
  const stage = await stageOf({ atOnce: 1 })
  await stage.ask('127.0.1.1', 'member/r1')
  await stage.ask('127.0.1.1', 'member/r2')
  const late = await stage.client('127.0.2.1')
  late.send('POST /dear/late HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab')
  stage.clock.delay = 51
  stage.clock.advance(250)
  await stage.ask('127.0.1.1', 'member/r3')
  late.send('cd')
  expect(await refused(late)).toEqual(turnedAway)
  expect(stage.begun).not.toContain('late')
})

test('what a client sent ahead is not begun once it has left', async () => {
  const stage = await stageOf({ atOnce: 8 })
  const raw = await stage.client('127.0.1.1')
  raw.send(['p1', 'p2', 'p3'].map((name) => `GET /member/${name} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(['p1'])
  raw.close()
  // The service has read that it left when it answers somebody who came later.
  await stage.ask('127.0.1.2', 'member/q1')
  await stage.answer('p1', 2)
  await stage.ask('127.0.1.2', 'member/q2')
  expect(stage.begun).toEqual(['p1', 'q1', 'q2'])
})

test('who waits for something else, such as a CA, takes nobody a turn', async () => {
  const stage = await stageOf({ atOnce: 1 })
  await stage.ask('127.0.1.1', 'member/long')
  await stage.ask('127.0.1.1', 'member/next')
  expect(stage.begun).toEqual(['long'])
  stage.clock.advance(100)
  expect(stage.begun).toEqual(['long', 'next'])
})

test('a reader who does not take the answer takes nobody a turn', async () => {
  const stage = await stageOf({ atOnce: 1 })
  const raw = await stage.ask('127.0.1.1', 'member/large')
  raw.socket.pause()
  await stage.ask('127.0.1.1', 'member/next')
  await stage.answer('large', 2)
})

test('who leaves while waiting is not begun; work that goes on without its client still takes its turn', async () => {
  const stage = await stageOf({ atOnce: 1 })
  const gone = await stage.ask('127.0.1.1', 'member/gone')
  const tired = await stage.ask('127.0.1.1', 'member/tired')
  await stage.ask('127.0.1.1', 'member/patient')
  gone.close()
  tired.close()
  // The service has read that they left when it answers somebody who came later.
  await stage.ask('127.0.2.1', 'member/other')
  await stage.answer('other', 2)
  expect(stage.begun).toEqual(['gone', 'other'])
  await stage.answer('gone', 3)
  expect(stage.begun).toEqual(['gone', 'other', 'patient'])
})

test('where too many wait, they are turned away by class: first dear work, lookups of members last', async () => {
  const stage = await stageOf({ atOnce: 1, waiting: 4 })
  await stage.ask('127.0.1.1', 'member/r1')
  await stage.ask('127.0.2.1', 'member/r2')
  const dear = await stage.ask('127.0.3.1', 'dear/dear')
  const anonymous = await stage.ask('127.0.4.1', 'anonymous/anonymous')
  const unnamed = await stage.ask('127.0.4.1', 'member/unnamed')
  const enrolment = await stage.ask('127.0.5.1', 'enrolment/enrolment')
  const newcomer = await stage.ask('127.0.6.1', 'member/newcomer', 'Authorization: Bearer x\r\n')
  expect(await refused(dear)).toEqual(turnedAway)
  await stage.ask('127.0.7.1', 'essential/o1')
  expect(await refused(unnamed)).toEqual(turnedAway)
  await stage.ask('127.0.8.1', 'essential/o2')
  expect(await refused(anonymous)).toEqual(turnedAway)
  await stage.ask('127.0.8.1', 'essential/o3')
  expect(await refused(enrolment)).toEqual(turnedAway)
  await stage.ask('127.0.8.1', 'essential/o4')
  expect(await refused(newcomer)).toEqual(turnedAway)
  const newest = await stage.ask('127.0.8.1', 'essential/o5')
  expect(await refused(newest)).toEqual(turnedAway)
  expect(stage.turns.takeShed()).toEqual({ dear: 1, anonymous: 2, enrolment: 1, newcomer: 1, essential: 1 })
  expect(stage.turns.takeShed()).toEqual({ dear: 0, anonymous: 0, enrolment: 0, newcomer: 0, essential: 0 })
  expect(stage.begun).toEqual(['r1', 'r2'])
})

test('a caller who was recognised is no newcomer on that connection, and has more turns than others', async () => {
  const stage = await stageOf({ atOnce: 1 })
  const member = await stage.ask('127.0.1.1', 'member/m1', 'Authorization: Bearer x\r\n')
  await stage.answer('m1', 1)
  await member.until((received) => received.includes('answer of m1'))
  await stage.ask('127.0.2.1', 'member/r1')
  await stage.ask('127.0.3.1', 'member/r2')
  await stage.ask('127.0.4.1', 'anonymous/a1')
  await stage.ask('127.0.5.1', 'member/n1', 'Authorization: Bearer x\r\n')
  member.send('GET /member/m2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n')
  await expect.poll(() => stage.waited, { interval: 2 }).toContain('m2')
  await stage.answer('r1', 4)
  await stage.answer('r2', 5)
  await stage.answer('m2', 6)
  expect(stage.begun).toEqual(['m1', 'r1', 'r2', 'm2', 'n1', 'a1'])
})

test('one class never waits for all of another: each has some turns in every round', async () => {
  const stage = await stageOf({ atOnce: 1 })
  await stage.ask('127.0.1.1', 'essential/r')
  await stage.ask('127.0.2.1', 'essential/held')
  await stage.ask('127.0.3.1', 'dear/dear')
  for (let number = 1; number <= 12; number += 1) await stage.ask(`127.0.${10 + number}.1`, `essential/e${number}`)
  let last = 'r'
  for (let begun = 3; begun <= 12; begun += 1) {
    await stage.answer(last, begun)
    last = stage.begun.at(-1) ?? ''
  }
  expect(stage.begun.indexOf('dear')).toBe(10)
})

test('while the event loop is slow, fewer run, and one class after the other is turned away; then all are let in again', async () => {
  const stage = await stageOf({ atOnce: 16 })
  const credential = 'Authorization: Bearer x\r\n'
  for (let number = 1; number <= 16; number += 1) await stage.ask('127.0.1.1', `member/r${number}`)
  const dear = await stage.ask('127.0.1.1', 'dear/d1')
  await stage.ask('127.0.1.1', 'member/n1', credential)
  stage.clock.delay = 51
  stage.clock.advance(250)
  expect(await refused(dear)).toEqual(turnedAway)
  // The sixteen have run for long, so they count no more; of the others eight run at once.
  for (let number = 2; number <= 10; number += 1) await stage.ask('127.0.1.1', `member/n${number}`, credential)
  const eight = Array.from({ length: 8 }, (_, number) => `n${number + 1}`)
  await expect.poll(() => stage.begun.slice(16), { interval: 2 }).toEqual(eight)
  expect(await refused(await stage.ask('127.0.2.1', 'dear/d2'))).toEqual(turnedAway)

  stage.clock.advance(250)
  expect(await refused(await stage.ask('127.0.2.1', 'anonymous/a1'))).toEqual(turnedAway)
  for (let number = 11; number <= 19; number += 1) await stage.ask('127.0.1.1', `member/n${number}`, credential)
  stage.clock.advance(250)
  expect(await refused(await stage.ask('127.0.2.1', 'enrolment/e1'))).toEqual(turnedAway)
  for (let looks = 0; looks < 4; looks += 1) {
    for (let number = 0; number < 9; number += 1) await stage.ask('127.0.1.1', `member/x${looks}-${number}`, credential)
    stage.clock.advance(250)
  }
  for (const name of ['essential/o1', 'member/o2']) await stage.ask('127.0.3.1', name, credential)
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(expect.arrayContaining(['o1', 'o2']))

  stage.clock.delay = 0
  for (let looks = 0; looks < 3; looks += 1) {
    stage.clock.advance(250)
    await stage.ask('127.0.4.1', `essential/l${looks}`)
  }
  for (const name of ['dear/d3', 'anonymous/a3', 'enrolment/e3']) await stage.ask('127.0.5.1', name)
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(expect.arrayContaining(['d3', 'a3', 'e3']))
  expect(stage.turns.takeShed()).toEqual({ dear: 2, anonymous: 1, enrolment: 1, newcomer: 0, essential: 0 })
})

test('no more run at once than keep the event loop busy', async () => {
  const stage = await stageOf({ atOnce: 12 })
  const ask = async (first: number, last: number): Promise<void> => {
    for (let number = first; number <= last; number += 1) await stage.ask('127.0.1.1', `member/a${number}`)
  }
  const begun = (): number => stage.begun.length
  await ask(1, 14)
  expect(begun()).toBe(12)
  stage.clock.busy = 1
  stage.clock.advance(250)
  await ask(15, 24)
  await expect.poll(begun, { interval: 2 }).toBe(12 + 8)
  stage.clock.busy = 0.5
  stage.clock.advance(250)
  await ask(25, 40)
  await expect.poll(begun, { interval: 2 }).toBe(12 + 8 + 12)
})

test('after a silence nobody is turned away for what was before', async () => {
  const stage = await stageOf({ atOnce: 1 })
  await stage.ask('127.0.1.1', 'member/r1')
  await stage.ask('127.0.1.1', 'member/r2')
  stage.clock.delay = 100
  stage.clock.advance(250)
  expect(await refused(await stage.ask('127.0.2.1', 'dear/d1'))).toEqual(turnedAway)
  stage.clock.advance(100)
  await expect.poll(() => stage.begun, { interval: 2 }).toEqual(['r1', 'r2'])
  stage.clock.advance(1_100)
  await stage.ask('127.0.2.1', 'dear/d2')
  expect(stage.begun.at(-1)).toBe('d2')
})

test('a slow event loop alone turns nobody away: somebody must be waiting', async () => {
  const stage = await stageOf({ atOnce: 8 })
  stage.clock.delay = 1_000
  for (let looks = 0; looks < 5; looks += 1) {
    stage.clock.advance(250)
    await stage.ask('127.0.1.1', `dear/d${looks}`)
    await stage.answer(`d${looks}`, looks + 1)
  }
  expect(stage.waited).toEqual([])
})
