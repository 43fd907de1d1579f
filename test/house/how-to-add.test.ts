import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')
const section = /^## How to add\n([^]*?)^## /m.exec(page)?.[1] ?? ''

/** The files of one list, by the words that it begins with. */
function filesToAdd(what: string): string[] {
  const list = section.split(/\n(?=An? )/).find((part) => part.startsWith(what)) ?? ''
  const lines = list.split('\n').filter((line) => line.startsWith('- '))
  return lines.flatMap((line) => Array.from(line.split(':')[0]?.matchAll(/`([^`]+)`/g) ?? [], ([, file = '']) => file))
}

const subjects = ['A CA adapter', 'A column', 'An endpoint', 'A protocol']

/** Something that is there already, for each word in angle brackets. */
const examples: Readonly<Record<string, string>> = {
  kind: 'manual',
  database: 'main',
  room: 'requests',
  protocol: 'directory',
}

/** A file that is there already. Of a migration it is the first one of its database. */
function exampleOf(file: string): string {
  const named = file.replaceAll(/<(\w+)>/g, (placeholder, word: string) => examples[word] ?? placeholder)
  const [, folder] = /^(db\/\w+)\/<number>_<name>\.sql$/.exec(named) ?? []
  return folder === undefined ? named : `${folder}/${readdirSync(join(root, folder)).toSorted()[0]}`
}

describe('how to add', () => {
  it.each(subjects)('%s: every file that is named is there', (subject) => {
    const files = filesToAdd(subject)
    expect(files.length).toBeGreaterThan(3)
    expect(files.filter((file) => !existsSync(join(root, exampleOf(file))))).toEqual([])
  })

  it('a CA adapter takes six files at most, and no migration', () => {
    const files = filesToAdd('A CA adapter')
    expect(files.length).toBeLessThanOrEqual(6)
    expect(files.filter((file) => file.startsWith('db/'))).toEqual([])
  })
})
