import { expect, test } from 'vitest'
import { Scheduler } from '../../src/adapters/scheduler.ts'
import { createEvents } from '../../src/events.ts'

const nightly = '17 3 * * *'

test('what is due once a night runs after the start too, in turn, and one that fails stops no other', async () => {
  const log: string[] = []
  const ran: string[] = []
  const job = (name: string, cron: string, fails = false) => ({
    name,
    cron,
    run: async () => {
      ran.push(name)
      if (fails) throw new Error('this one fails')
    },
  })
  const last = Promise.withResolvers<void>()
  const scheduler = new Scheduler(
    [
      job('prune', nightly, true),
      job('minute', '* * * * *'),
      job('sweep', nightly),
      { name: 'last', cron: nightly, run: async () => last.resolve() },
    ],
    createEvents((line) => log.push(line), 'warn', Date.now),
    0,
  )
  await last.promise
  await scheduler.stop()
  expect(ran.filter((name) => name !== 'minute')).toEqual(['prune', 'sweep'])
  expect(log.map((line) => JSON.parse(line).job)).toEqual(['prune'])
})

test('a scheduler that was stopped starts nothing', async () => {
  const ran: string[] = []
  const run = async (): Promise<void> => void ran.push('job')
  const scheduler = new Scheduler(
    [{ name: 'job', cron: nightly, run }],
    createEvents(() => undefined, 'warn', Date.now),
    0,
  )
  await scheduler.stop()
  await new Promise((resolve) => setImmediate(resolve))
  expect(ran).toEqual([])
})
