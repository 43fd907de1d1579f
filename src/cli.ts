#!/usr/bin/env node
import { runCommandLine } from './commands/program.ts'
import { watchOutputs } from './commands/terminal.ts'

// Files of the service and its commands are for their own user only.
process.umask(0o077)
watchOutputs()
await runCommandLine(process.argv.slice(2))
