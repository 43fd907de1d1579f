import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/adapters/key-ring.ts'
import { entryMac, headMac, sealMac } from '../../src/audit/macs.ts'
import { sealHash } from '../../src/audit/seals.ts'
import { insertSeal, readEntriesAfter, readSealsAfter, setHead, type AuditSealRow } from '../../src/audit/store.ts'
import { notesOf, readCheckpoint } from '../../src/pki/checkpoint.ts'
import { toHex } from '../../src/pki/encoding.ts'
import type { TreeHead } from '../../src/pki/merkle-tree.ts'
import {
  makeNoteKey,
  openNote,
  openNoteKey,
  readVerifierKey,
  writeVerifierKey,
  type NoteSigner,
} from '../../src/pki/signed-note.ts'
import { command, query, text, type Command } from '../../src/ports/database.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startRegistration } from '../support/story.ts'
import { day, expectProblem } from './support.ts'

describe.each(engines)('checkpoints of the audit log on %s', (engine) => {
  let harness: RoomHarness
  let noteSigner: NoteSigner
  let auditor: Administrator
  let kept = ''

  beforeAll(async () => {
    noteSigner = await openNoteKey(crypto, await makeNoteKey(crypto, 'keys.example.com/audit-log'))
    const checkpointKeeper = {
      newest: async () => kept,
      keep: async (note: string) => {
        kept += `${kept === '' ? '' : '\n'}${note}`
      },
    }
    harness = await openRoomHarness(engine, { noteSigner, checkpointKeeper })
    auditor = await makeAdministrator(harness, 'auditor')
  })
  afterAll(() => harness.close())

  let writers = 0
  /** A day on which two things are logged, with a seal each, and a checkpoint is kept in its night. */
  const aDay = async (): Promise<void> => {
    for (let entry = 0; entry < 2; entry += 1) {
      writers += 1
      await startRegistration(harness.api, `writer.${writers}@example.com`)
      await harness.settled()
      await harness.runJob('audit-seal')
    }
    harness.clock.now += day
    await harness.runJob('audit-checkpoint')
  }

  const headsOf = async (content: string): Promise<TreeHead[]> => {
    const texts = await Promise.all(notesOf(content).map((note) => openNote(crypto, noteSigner.verifier, note)))
    return texts.map((found) => {
      const head = found === null ? null : readCheckpoint(noteSigner.verifier.name, found)
      if (head === null) throw new Error('a checkpoint is not signed')
      return head
    })
  }
  const faults = async (): Promise<readonly string[]> =>
    (await harness.service.verifyAudit(null, await headsOf(kept))).faults

  /** Does what somebody could who has the database and the key ring, judges, and puts everything back. */
  const tamper = async (change: readonly Command[], judge: () => Promise<void>): Promise<void> => {
    const entries = await readEntriesAfter(harness.main, 0, 10_000)
    const seals = await readSealsAfter(harness.main, 0, 10_000)
    const triggers = await harness.main.all(
      query(
        { name: text, statement: text },
        `SELECT name, sql AS statement FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit_%'`,
      ),
    )
    await harness.main.batch([...triggers.map(({ name }) => command(`DROP TRIGGER ${name}`)), ...change])
    try {
      await judge()
    } finally {
      await harness.main.batch([
        ...resealed(seals),
        command(`DELETE FROM audit_entries`),
        ...entries.map((entry) =>
          command(
            `INSERT INTO audit_entries (position, id, at, action, actor_kind, actor, subject_kind, subject, facts, commitments, mac)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
            ...Object.values(entry),
          ),
        ),
        ...triggers.map(({ statement }) => command(statement)),
      ])
    }
    expect(await faults()).toEqual([])
  }

  /** These seals instead of those that are there, with a head that fits. */
  const resealed = (seals: readonly AuditSealRow[]): Command[] => {
    const last = seals.at(-1)
    if (last === undefined) throw new Error('there are no seals')
    const head = { seals: last.number, lastPosition: last.lastPosition, hash: last.hash }
    return [
      command(`DELETE FROM audit_seals`),
      ...seals.map((seal) => insertSeal({ ...seal, mac: sealMac.of(harness.keys, seal) })),
      setHead({ ...head, mac: headMac.of(harness.keys, head) }),
    ]
  }

  /** The chain over the entries as they stand, made with the ring's own key. */
  const chainAnew = async (): Promise<AuditSealRow[]> => {
    const chain: AuditSealRow[] = []
    for (const seal of await readSealsAfter(harness.main, 0, 10_000)) {
      const entries = await readEntriesAfter(
        harness.main,
        seal.firstPosition - 1,
        seal.lastPosition - seal.firstPosition + 1,
      )
      const made = { ...seal, predecessor: chain.at(-1)?.hash ?? seal.predecessor }
      chain.push({ ...made, hash: sealHash(sha256, made, entries) })
    }
    return chain
  }

  test('each night one is kept, signed; the log agrees with all of them', async () => {
    await harness.runJob('audit-checkpoint')
    for (let count = 0; count < 3; count += 1) await aDay()
    const heads = await headsOf(kept)
    expect(heads.length).toBe(4)
    const found = await harness.service.verifyAudit(null, heads)
    expect(found).toMatchObject({ faults: [], seals: heads.at(-1)?.size })
    await harness.runJob('audit-checkpoint')
    expect(notesOf(kept).length).toBe(4)
    expect(harness.log.some((line) => line.includes('audit_checkpoint_kept'))).toBe(true)
  })

  test('without the note key, a checkpoint cannot be made up', async () => {
    const mallory = await openNoteKey(crypto, await makeNoteKey(crypto, noteSigner.verifier.name))
    const [note = ''] = notesOf(kept)
    const forged = await mallory.sign(note.slice(0, note.indexOf('\n\n') + 1))
    expect(await openNote(crypto, noteSigner.verifier, forged)).toBeNull()
  })

  test('the tail is cut, and the head with it', async () => {
    const seals = await readSealsAfter(harness.main, 0, 10_000)
    const shorter = seals.slice(0, -1)
    await tamper(
      [
        ...resealed(shorter),
        command(`DELETE FROM audit_entries WHERE position > ?`, shorter.at(-1)?.lastPosition ?? 0),
      ],
      async () => {
        expect((await harness.service.verifyAudit(null)).faults).toEqual([])
        expect(await faults()).toEqual([`checkpoint of ${seals.length} seals: the log has fewer now, so it was cut`])
        const before = kept
        await expect(harness.runJob('audit-checkpoint')).rejects.toThrow(/it was rewritten or cut/)
        expect(kept).toBe(before)
        expect(await harness.service.warnings()).toContainEqual(expect.stringContaining('its last checkpoint'))
      },
    )
    await harness.runJob('audit-checkpoint')
    expect(await harness.service.warnings()).not.toContainEqual(expect.stringContaining('its last checkpoint'))
  })

  test("an entry is changed, and the whole chain sealed again with the ring's own key", async () => {
    const heads = await headsOf(kept)
    await tamper([command(`UPDATE audit_entries SET actor = 'somebody else' WHERE position = 2`)], async () => {
      const [, changed] = await readEntriesAfter(harness.main, 0, 2)
      if (changed === undefined) throw new Error('there is no second entry')
      const mac = entryMac.of(harness.keys, changed)
      await harness.main.batch([
        command(`UPDATE audit_entries SET mac = ? WHERE position = 2`, mac),
        ...resealed(await chainAnew()),
      ])
      expect((await harness.service.verifyAudit(null)).faults).toEqual([])
      const found = await faults()
      for (const { size } of heads) {
        expect(found).toContain(`checkpoint of ${size} seals: the log is another one, so it was rewritten`)
      }
      await expect(harness.runJob('audit-checkpoint')).rejects.toThrow(/it was rewritten or cut/)
    })
  })

  test('one seal is swapped for another of the same entries', async () => {
    const seals = await readSealsAfter(harness.main, 0, 10_000)
    const last = seals.at(-1)
    if (last === undefined) throw new Error('there are no seals')
    const later = { ...last, at: last.at + 1 }
    const entries = await readEntriesAfter(harness.main, last.firstPosition - 1, 10_000)
    const swapped = { ...later, hash: sealHash(sha256, later, entries) }
    await tamper(resealed([...seals.slice(0, -1), swapped]), async () => {
      expect((await harness.service.verifyAudit(null)).faults).toEqual([])
      expect(await faults()).toEqual([
        `checkpoint of ${last.number} seals: the log is another one, so it was rewritten`,
      ])
    })
  })

  test('an auditor fetches one from elsewhere, and has the log compared with it', async () => {
    const { body } = await auditor.api.get('/v1/admin/audit-log/checkpoint')
    expect(body.verifierKey).toBe(writeVerifierKey(noteSigner.verifier))
    const verifier = await readVerifierKey(crypto, body.verifierKey)
    expect(verifier).toEqual(noteSigner.verifier)
    const [head] = await headsOf(body.checkpoint)
    const ask = (size: number, root: string) =>
      auditor.api.get(`/v1/admin/audit-log/verification?checkpoints=${size}:${root}`)
    const root = toHex(head?.root ?? new Uint8Array(0))
    expect((await ask(head?.size ?? 0, root)).body.faults).toEqual([])
    expect((await ask(1, root)).body.faults).toEqual([
      'checkpoint of 1 seals: the log is another one, so it was rewritten',
    ])
    expect((await ask(1_000, root)).body.faults).toEqual([
      'checkpoint of 1000 seals: the log has fewer now, so it was cut',
    ])
    for (const wrong of ['x', '1', `1:${root},`, `01:${root}`, `1:${root.toUpperCase()}x`]) {
      expectProblem(
        await auditor.api.get(`/v1/admin/audit-log/verification?checkpoints=${wrong}`),
        422,
        'invalid_request',
      )
    }
  })
})

test('a service without a note key has no checkpoints, and says so', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    await harness.runJob('audit-checkpoint')
    const auditor = await makeAdministrator(harness, 'auditor')
    expect((await auditor.api.get('/v1/admin/audit-log/checkpoint')).body).toEqual({
      verifierKey: null,
      checkpoint: null,
    })
  } finally {
    await harness.close()
  }
})
