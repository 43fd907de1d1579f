import { runProgram } from '../support/processes.ts'

/** How a program ended, and what it wrote to both streams. */
export interface Run {
  readonly code: number
  readonly output: string
}

/** Runs a program in a folder until it ends, well or not. */
export async function run(
  folder: string,
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const env = { ...process.env, ...environment, LC_ALL: 'C' }
  const { code, stdout, stderr } = await runProgram(program, args, { cwd: folder, env })
  if (code === null) throw new Error(`${program} ${args.join(' ')} did not end by itself`)
  return { code, output: stdout + stderr }
}

/** Runs a program that must end well, and resolves to what it wrote. */
export async function runWell(...command: Parameters<typeof run>): Promise<string> {
  const { code, output } = await run(...command)
  if (code !== 0) throw new Error(`${command[1]} ${command[2].join(' ')} ended with ${code}:\n${output}`)
  return output
}
