import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { ldifOf } from './slapd.ts'
import { addressOf, type AskerOfStock, type PartOrder, type PartReport } from './stock.ts'
import { stockInBulk } from './stocking.ts'

/** Stocks one part of a directory, in a process of its own, told by its parent over IPC. */

const numbersOf = ([from, to]: readonly [number, number]): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index)

async function stockPart(order: PartOrder): Promise<PartReport> {
  const numbers = [...numbersOf(order.settled), ...numbersOf(order.fresh)]
  const settled: AskerOfStock[] = []
  const fresh: AskerOfStock[] = []
  const ldif = createWriteStream(order.ldif)
  let place = 0
  await stockInBulk({
    dataDir: order.dataDir,
    addresses: numbers.map((number) => addressOf(order, number)),
    settled: order.settled[1] - order.settled[0],
    take: ({ address, credential, id, certificate }) => {
      const number = numbers[place] ?? 0
      place += 1
      ldif.write(ldifOf(address, certificate))
      if (number < order.askers[0]) settled.push({ credential, certificate: id })
      else if (number >= order.askers[1]) fresh.push({ credential, certificate: id })
    },
  })
  await finished(ldif.end())
  const { user, system } = process.cpuUsage()
  return { cpuSeconds: (user + system) / 1_000_000, settled, fresh }
}

process.on('message', (order: PartOrder) => {
  void stockPart(order).then((report) => {
    process.send?.(report, () => process.disconnect())
  })
})
process.send?.('ready')
