import { execFile } from 'node:child_process'

/** How a program ended, and what it wrote to both streams. */
export interface Run {
  readonly code: number
  readonly output: string
}

const allowedMilliseconds = 120_000

/** Runs a program in a folder until it ends, well or not. */
export async function run(
  folder: string,
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const options = { cwd: folder, env: { ...process.env, ...environment, LC_ALL: 'C' }, timeout: allowedMilliseconds }
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code
      if (typeof code === 'number') resolve({ code, output: stdout + stderr })
      else reject(new Error(`${program} ${args.join(' ')} did not end by itself`, { cause: error ?? undefined }))
    })
  })
}

/** Runs a program that must end well, and resolves to what it wrote. */
export async function runWell(...command: Parameters<typeof run>): Promise<string> {
  const { code, output } = await run(...command)
  if (code !== 0) throw new Error(`${command[1]} ${command[2].join(' ')} ended with ${code}:\n${output}`)
  return output
}
