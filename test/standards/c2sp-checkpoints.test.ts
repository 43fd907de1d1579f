import { describe, expect, test } from 'vitest'
import { checkpointText, notesOf, readCheckpoint } from '../../src/pki/checkpoint.ts'
import {
  isNoteKeyName,
  makeNoteKey,
  NoteKeyUnusable,
  openNote,
  openNoteKey,
  readVerifierKey,
  writeVerifierKey,
} from '../../src/pki/signed-note.ts'

/** From the documentation of the Go package sumdb/note, which the standard was made from. */
const goKey = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const goVerifier = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const goText = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const goSignature =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const goNote = `${goText}\n${goSignature}`

const verifierOf = async (text: string) => {
  const verifier = await readVerifierKey(crypto, text)
  if (verifier === null) throw new Error('no verifier key')
  return verifier
}

describe('C2SP signed-note', () => {
  test("the key, the verifier key and the note of the format's first implementation, byte for byte", async () => {
    const signer = await openNoteKey(crypto, goKey)
    expect(writeVerifierKey(signer.verifier)).toBe(goVerifier)
    expect(await signer.sign(goText)).toBe(goNote)
    expect(await openNote(crypto, await verifierOf(goVerifier), goNote)).toBe(goText)
  })

  test('a note may carry signatures of others', async () => {
    const other = await openNoteKey(crypto, await makeNoteKey(crypto, 'witness.example.com'))
    const others = (await other.sign(goText)).slice(goText.length + 1)
    for (const both of [`${goNote}${others}`, `${goText}\n${others}${goSignature}`]) {
      expect(await openNote(crypto, await verifierOf(goVerifier), both)).toBe(goText)
      expect(await openNote(crypto, other.verifier, both)).toBe(goText)
    }
  })

  test.each([
    ['another text', goNote.replace('answer', 'Answer')],
    ['another name', goNote.replace('PeterNeumann', 'PeterNewman')],
    ['another hash of the key', goNote.replace('x08go', 'y08go')],
    ['another signature', goNote.replace('ZJkuBS9UG', 'ZJkuBS9UH')],
    ['a cut signature', goNote.replace('wJnAM=', 'wJnAA')],
    ['no line feed at its end', goNote.slice(0, -1)],
    ['no signature', `${goText}\n`],
    ['no empty line', goNote.replace('\n\n', '\n')],
    ['nothing', ''],
  ])('a note with %s is not signed', async (_, note) => {
    expect(note).not.toBe(goNote)
    expect(await openNote(crypto, await verifierOf(goVerifier), note)).toBeNull()
  })

  test.each([
    goVerifier.replace('c74f20a3', 'c74f20a4'),
    goVerifier.replace('PeterNeumann', 'PeterNewman'),
    goVerifier.replace('+ARpc', '+AhpC'),
    goVerifier.slice(0, -4),
    goVerifier.replace('PeterNeumann', 'Peter Neumann'),
    goKey,
    '',
  ])('no verifier key: %s', async (text) => {
    expect(await readVerifierKey(crypto, text)).toBeNull()
  })

  test.each([goVerifier, goKey.replace('c74f20a3', 'c74f20a4'), goKey.slice(0, -4), ''])(
    'no note key: %s',
    async (text) => {
      await expect(openNoteKey(crypto, text)).rejects.toThrow(NoteKeyUnusable)
    },
  )

  test('names have neither white space nor plus signs', () => {
    expect(['keys.example.com/audit-log', '', 'a b', 'a+b', 'a\u2003b'].map(isNoteKeyName)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ])
  })
})

describe('C2SP tlog-checkpoint', () => {
  const origin = 'keys.example.com/audit-log'
  const root = Uint8Array.from({ length: 32 }, (_, index) => index)
  const text = `${origin}\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n`

  test('origin, size and root, a line each; extension lines are passed over', () => {
    expect(checkpointText(origin, { size: 20_852_163, root })).toBe(text)
    expect(readCheckpoint(origin, text)).toEqual({ size: 20_852_163, root })
    expect(readCheckpoint(origin, `${text}an extension\n`)).toEqual({ size: 20_852_163, root })
  })

  test.each([
    text.replace(origin, 'other.example.com'),
    text.replace('20852163', '020852163'),
    text.replace('20852163', '-1'),
    text.replace('20852163', ''),
    text.replace('Hh8=', 'Hg=='),
    text.replace('Hh8=', ''),
    '',
  ])('none: %j', (wrong) => {
    expect(readCheckpoint(origin, wrong)).toBeNull()
  })

  test('a file of several, of which one was cut by a loss of power', () => {
    const note = `${text}\n\u2014 ${origin} AAAA\n`
    expect(notesOf('')).toEqual([])
    expect(notesOf(note)).toEqual([note])
    expect(notesOf(`${note}\n${note}\n${text}\n\u2014 ke\n\n${note}`)).toEqual([
      note,
      note,
      `${text}\n\u2014 ke\n`,
      note,
    ])
  })
})
