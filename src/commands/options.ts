import { Command, InvalidArgumentError, Option } from 'commander'

/** Options that several commands have. */

export const jsonOption = (): Option => new Option('--json', 'answer as JSON with stable fields')

export const progressOption = (): Option =>
  new Option('--progress', 'show progress, also if standard error is not a terminal')

export const urlOption = (): Option =>
  new Option('--url <url>', 'the service, over HTTPS, instead of the files in DATA_DIR').env('CERTBOOK_URL')

/** For commands that work on files only. If they are given a URL, they say why they take none. */
export const filesOnly = (): Option =>
  new Option('--url <url>')
    .argParser(() => {
      throw new InvalidArgumentError(
        'This works on the files in DATA_DIR: run it on the machine of the service. On Workers, D1 Time Travel does it.',
      )
    })
    .hideHelp()

export const reasonOption = (): Option =>
  new Option(
    '--reason <text>',
    'why you look (10 characters or more); it is kept in the audit log',
  ).makeOptionMandatory()

export const limitOption = (): Option =>
  new Option('--limit <number>', 'how many at most, 1 to 200').argParser(parseLimit).default(50)

export const cursorOption = (): Option =>
  new Option('--cursor <cursor>', 'go on where the last answer ended (its "next")')

function parseLimit(value: string): number {
  const limit = Number(value)
  if (!Number.isInteger(limit) || limit < 1 || limit > 200) throw new InvalidArgumentError('It must be from 1 to 200.')
  return limit
}

/** A group of commands, such as `certbook audit`. */
export const group = (name: string, description: string, commands: readonly Command[]): Command => {
  const parent = new Command(name).description(description)
  for (const command of commands) parent.addCommand(command)
  return parent
}
