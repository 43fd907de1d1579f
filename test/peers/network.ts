import { spawnSync } from 'node:child_process'
import { requireProgram } from './programs.ts'
import { run, type Run } from './run.ts'

/** A machine of its own as far as the network goes: a network namespace. */
export interface Machine {
  /** Its address on the wire to the other machine. */
  readonly address: string
  /** A second one, of somebody else on the same machine. */
  readonly otherAddress: string
  /** A command that runs there. */
  command(program: string, ...args: readonly string[]): string[]
  /** Runs a program there to its end. */
  run(folder: string, program: string, ...args: readonly string[]): Promise<Run>
}

/** Two machines with a wire between them, apart from the network of the machine that the tests run on. */
export interface Network {
  readonly server: Machine
  readonly client: Machine
  close(): void
}

/** RFC 2544 sets 198.18.0.0/15 aside for tests like these. */
const addressOf = (host: number): string => `198.18.0.${host}`

let networks = 0

/** Lays a wire between two new machines. Fails, never skips, where the kernel does not let it. */
export async function openNetwork(): Promise<Network> {
  await requireProgram('ip', 'iproute2')
  networks += 1
  const ends = (['server', 'client'] as const).map((role, index) => ({
    name: `certbook-${role}-${process.pid}-${networks}`,
    wire: `cb${role.slice(0, 1)}${process.pid}-${networks}`.slice(0, 15),
    address: addressOf(index * 2 + 1),
    otherAddress: addressOf(index * 2 + 2),
  }))
  const remove = (): void => {
    for (const { name } of ends) spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' })
  }
  const ip = async (...args: readonly string[]): Promise<void> => {
    const { code, output } = await run('/', 'ip', args)
    if (code === 0) return
    remove()
    throw new Error(
      `this test needs network namespaces, as root with CAP_SYS_ADMIN and CAP_NET_ADMIN: ip ${args.join(' ')}: ${output}`,
    )
  }
  // A test that is killed never reaches its own end; what it laid must not outlive it.
  process.once('exit', remove)
  const [server, client] = ends
  if (server === undefined || client === undefined) throw new Error('a wire has two ends')
  for (const { name } of ends) await ip('netns', 'add', name)
  const serverEnd = [server.wire, 'netns', server.name]
  const clientEnd = ['name', client.wire, 'netns', client.name]
  await ip('link', 'add', ...serverEnd, 'type', 'veth', 'peer', ...clientEnd)
  for (const { name, wire, address, otherAddress } of ends) {
    for (const own of [address, otherAddress]) await ip('-n', name, 'address', 'add', `${own}/24`, 'dev', wire)
    for (const device of ['lo', wire]) await ip('-n', name, 'link', 'set', device, 'up')
  }
  const machine = ({ name, address, otherAddress }: (typeof ends)[number]): Machine => {
    const command = (program: string, ...args: readonly string[]): string[] => [
      'ip',
      'netns',
      'exec',
      name,
      program,
      ...args,
    ]
    return {
      address,
      otherAddress,
      command,
      run: (folder, ...there) => {
        const [program = '', ...args] = command(...there)
        return run(folder, program, args)
      },
    }
  }
  return {
    server: machine(server),
    client: machine(client),
    close: () => {
      process.off('exit', remove)
      remove()
    },
  }
}
