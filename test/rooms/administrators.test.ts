import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { command, nullable, query, text } from '../../src/ports/database.ts'
import type { Answer } from '../support/api.ts'
import { localOperator, makeAdministrator } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { countRows, day, expectProblem, findLeaks, minute, race } from './support.ts'

const secret = 'a bootstrap secret may hold no blank'.replaceAll(' ', '-')
const sha256 = (value: string): string => createHash('sha256').update(value).digest('hex')
const bootstrapped = { ADMIN_BOOTSTRAP_SHA256: sha256(secret) }

const statusesOf = (answers: readonly Answer[]): number[] =>
  answers.map(({ status }) => status).toSorted((a, b) => a - b)

describe.each(engines)('administrators on %s', (engine) => {
  let harness: RoomHarness
  const open = async (settings: Readonly<Record<string, string>> = {}): Promise<void> => {
    harness = await openRoomHarness(engine, { settings })
  }
  const close = async (): Promise<void> => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  }
  const reopen = async (settings: Readonly<Record<string, string>> = {}): Promise<void> => {
    await close()
    await open(settings)
  }
  beforeAll(() => open())
  afterAll(close)

  const audited = (action: string, of: string): Promise<{ actorKind: string; actor: string | null }[]> =>
    harness.main.all(
      query(
        { actorKind: text, actor: nullable(text) },
        `SELECT actor_kind AS actorKind, actor FROM audit_entries WHERE action = ? AND subject = ? ORDER BY position`,
        action,
        of,
      ),
    )
  const midnight = (days: number): string =>
    new Date(harness.clock.now - (harness.clock.now % day) + days * day).toISOString()

  describe('credentials', () => {
    test('are shown once and kept as a hash only, and the name is sealed', async () => {
      const made = await localOperator(harness).post('/v1/admin/administrators', {
        name: 'Olga Ownerson',
        roles: ['auditor', 'owner'],
      })
      expect([made.status, made.body.roles]).toEqual([201, ['owner', 'auditor']])
      expect(made.body.credential).toMatch(/^cb_adm_[\w-]{43}$/)
      const olga = harness.api.with(made.body.credential)
      expect((await olga.get('/v1/admin/me')).body).toEqual({
        id: made.body.id,
        name: 'Olga Ownerson',
        roles: ['owner', 'auditor'],
        credentialExpiresAt: midnight(181),
      })
      const listed = await olga.get('/v1/admin/administrators')
      expect(listed.body.items[0]).toMatchObject({ id: made.body.id, name: 'Olga Ownerson', state: 'active' })
      expect(JSON.stringify(listed.body)).not.toContain('cb_adm_')
      expect(await findLeaks(harness, made.body.credential, 'Olga Ownerson')).toEqual([])
      expect(await audited('administrator.created', made.body.id)).toEqual([
        { actorKind: 'administrator', actor: 'command line' },
      ])
    })

    test('expire after 180 days unseen, and not while they are used', async () => {
      const seen = await makeAdministrator(harness, 'auditor')
      const unseen = await makeAdministrator(harness, 'auditor')
      harness.clock.now += 170 * day
      expect((await seen.api.get('/v1/admin/me')).body.credentialExpiresAt).toBe(midnight(181))
      harness.clock.now += 11 * day
      expect((await seen.api.get('/v1/admin/me')).status).toBe(200)
      expectProblem(await unseen.api.get('/v1/admin/me'), 401, 'credential_invalid')
      const listed = await seen.api.get('/v1/admin/administrators')
      const states = new Map(listed.body.items.map((item: { id: string; state: string }) => [item.id, item.state]))
      expect([states.get(seen.id), states.get(unseen.id)]).toEqual(['active', 'expired'])
    })

    test('one that was used in the last minutes expires all the same when its day is long over', async () => {
      const { api } = await makeAdministrator(harness, 'auditor')
      expect((await api.get('/v1/admin/me')).status).toBe(200)
      expect((await api.get('/v1/admin/me')).status).toBe(200)
      harness.clock.now += 181 * day
      expectProblem(await api.get('/v1/admin/me'), 401, 'credential_invalid')
    })

    test('rotate: the old one works until the new one is first used, and a lost answer strands nobody', async () => {
      const { api, id } = await makeAdministrator(harness, 'auditor')
      const lost = await api.post('/v1/admin/credential')
      const kept = await api.post('/v1/admin/credential')
      expect([lost.status, kept.status, kept.body.id]).toEqual([201, 201, id])
      expect((await api.get('/v1/admin/me')).status).toBe(200)
      expectProblem(await harness.api.with(lost.body.credential).get('/v1/admin/me'), 401, 'credential_invalid')
      const fresh = harness.api.with(kept.body.credential)
      expect(statusesOf(await race(8, () => fresh.get('/v1/admin/me')))).toEqual(Array.from({ length: 8 }, () => 200))
      expectProblem(await api.get('/v1/admin/me'), 401, 'credential_invalid')
      expectProblem(await api.post('/v1/admin/credential'), 401, 'credential_invalid')
      expect(await audited('administrator.credential_rotated', id)).toEqual([{ actorKind: 'administrator', actor: id }])
    })

    test('a lost one is replaced by an owner, and stops working at once', async () => {
      const owner = await makeAdministrator(harness, 'owner')
      const { api, id } = await makeAdministrator(harness, 'auditor')
      const waiting = await api.post('/v1/admin/credential')
      const replaced = await owner.api.post(`/v1/admin/administrators/${id}/credential`)
      expect([replaced.status, replaced.body.id, replaced.body.roles]).toEqual([201, id, ['auditor']])
      expectProblem(await api.get('/v1/admin/me'), 401, 'credential_invalid')
      expectProblem(await harness.api.with(waiting.body.credential).get('/v1/admin/me'), 401, 'credential_invalid')
      expect((await harness.api.with(replaced.body.credential).get('/v1/admin/me')).status).toBe(200)
      expect(await audited('administrator.credential_replaced', id)).toEqual([
        { actorKind: 'administrator', actor: owner.id },
      ])
    })

    test('an expired administrator comes back by a new credential of an owner', async () => {
      const { api, id } = await makeAdministrator(harness, 'auditor')
      harness.clock.now += 181 * day
      const replaced = await localOperator(harness).post(`/v1/admin/administrators/${id}/credential`)
      expect((await harness.api.with(replaced.body.credential).get('/v1/admin/me')).status).toBe(200)
      expectProblem(await api.get('/v1/admin/me'), 401, 'credential_invalid')
    })

    test('end with the administrator, whose name goes a year later', async () => {
      const owner = await makeAdministrator(harness, 'owner')
      const { api, id } = await makeAdministrator(harness, 'auditor')
      expect((await api.get('/v1/admin/me')).status).toBe(200)
      const answers = await race(6, () => owner.api.delete(`/v1/admin/administrators/${id}`))
      expect(statusesOf(answers)).toEqual(Array.from({ length: 6 }, () => 204))
      expectProblem(await api.get('/v1/admin/me'), 401, 'credential_invalid')
      expect(await audited('administrator.ended', id)).toEqual([{ actorKind: 'administrator', actor: owner.id }])
      for (const path of ['', '/credential']) {
        const method = path === '' ? 'PATCH' : 'POST'
        const body = path === '' ? { roles: ['owner'] } : undefined
        expectProblem(await owner.api.send(method, `/v1/admin/administrators/${id}${path}`, body), 404, 'not_found')
      }
      const nameOf = async (): Promise<unknown> => {
        const { body } = await localOperator(harness).get('/v1/admin/administrators')
        return body.items.find((item: { id: string }) => item.id === id).name
      }
      harness.clock.now += 364 * day
      await harness.runJob('administrators-prune')
      expect(await nameOf()).toBe('An auditor')
      harness.clock.now += 2 * day
      await harness.runJob('administrators-prune')
      expect(await nameOf()).toBeNull()
    })
  })

  describe('what an owner asks', () => {
    test.each([
      ['no role', { name: 'X', roles: [] }],
      ['a role twice', { name: 'X', roles: ['owner', 'owner'] }],
      ['a role that does not exist', { name: 'X', roles: ['root'] }],
      ['no name', { roles: ['owner'] }],
      ['a blank name', { name: '  ', roles: ['owner'] }],
      ['an unknown field', { name: 'X', roles: ['owner'], credential: 'cb_adm_mine' }],
    ])('is refused with %s', async (_, body) => {
      const before = await countRows(harness.main, 'administrators')
      expectProblem(await localOperator(harness).post('/v1/admin/administrators', body), 422, 'invalid_request')
      expect(await countRows(harness.main, 'administrators')).toBe(before)
    })

    test('roles change at once, and a repeat leaves no second trace', async () => {
      const owner = await makeAdministrator(harness, 'owner')
      const { api, id } = await makeAdministrator(harness, 'auditor')
      expect((await api.get('/v1/admin/audit-log/verification')).status).toBe(200)
      const path = `/v1/admin/administrators/${id}`
      const answers = await race(5, () => owner.api.send('PATCH', path, { roles: ['approver'] }))
      expect(answers.map(({ status, body }) => [status, body.roles])).toEqual(
        Array.from({ length: 5 }, () => [200, ['approver']]),
      )
      expectProblem(await api.get('/v1/admin/audit-log/verification'), 403, 'role_required')
      expect(await audited('administrator.roles_changed', id)).toHaveLength(1)
    })

    test('other roles at once come one after the other, and the log says from what to what', async () => {
      const { id } = await makeAdministrator(harness, 'auditor')
      const wanted = [['operator'], ['approver'], ['privacy'], ['owner']]
      const answers = await race(4, (index) =>
        localOperator(harness).send('PATCH', `/v1/admin/administrators/${id}`, { roles: wanted[index] }),
      )
      // One that made it an owner is not undone: it would have been the last one.
      expect(answers.filter(({ status }) => status !== 200 && status !== 409)).toEqual([])
      const { body } = await localOperator(harness).get(`/v1/admin/audit-log?subject=${id}`)
      const steps = body.items
        .filter((item: { action: string }) => item.action === 'administrator.roles_changed')
        .map((item: { facts: { before: string; after: string } }) => item.facts)
        .toReversed()
      const changed = ['auditor', ...steps.map((step: { after: string }) => step.after)]
      expect(steps.map((step: { before: string }) => step.before)).toEqual(changed.slice(0, -1))
      expect(steps).toHaveLength(answers.filter(({ status }) => status === 200).length)
    })

    test('of nobody is not found', async () => {
      const api = localOperator(harness)
      const path = '/v1/admin/administrators/nobody'
      expectProblem(await api.send('PATCH', path, { roles: ['owner'] }), 404, 'not_found')
      expectProblem(await api.delete(path), 404, 'not_found')
      expectProblem(await api.post(`${path}/credential`), 404, 'not_found')
    })

    test('lists come in pages', async () => {
      await reopen()
      const made: string[] = []
      for (let count = 0; count < 5; count++) {
        harness.clock.now += minute
        made.unshift((await makeAdministrator(harness, 'auditor')).id)
      }
      const seen: string[] = []
      let cursor = ''
      do {
        const page = await localOperator(harness).get(`/v1/admin/administrators?limit=2${cursor}`)
        expect(page.status).toBe(200)
        seen.push(...page.body.items.map((item: { id: string }) => item.id))
        cursor = page.body.next === null ? '' : `&cursor=${page.body.next}`
      } while (cursor !== '')
      expect(seen).toEqual(made)
      expectProblem(
        await localOperator(harness).get('/v1/admin/administrators?cursor=made.up!'),
        422,
        'invalid_request',
      )
    })

    test('the table itself refuses roles that it does not know', async () => {
      const { id } = await makeAdministrator(harness, 'auditor')
      for (const roles of ['["root"]', '[]', '{}', '"owner"', '["owner","root"]', 'owner']) {
        await expect(
          harness.main.batch([command(`UPDATE administrators SET roles = ? WHERE id = ?`, roles, id)]),
          roles,
        ).rejects.toThrow()
      }
    })
  })

  describe('the last owner', () => {
    beforeEach(() => reopen())

    test('is neither removed nor demoted, by anyone', async () => {
      const owner = await makeAdministrator(harness, 'owner', 'auditor')
      const path = `/v1/admin/administrators/${owner.id}`
      for (const api of [owner.api, localOperator(harness)]) {
        expectProblem(await api.delete(path), 409, 'last_owner')
        expectProblem(await api.send('PATCH', path, { roles: ['auditor'] }), 409, 'last_owner')
      }
      expect((await owner.api.send('PATCH', path, { roles: ['owner'] })).body.roles).toEqual(['owner'])
      expect(await audited('administrator.ended', owner.id)).toEqual([])
    })

    test('is the last one whose credential works: an expired owner does not count', async () => {
      await makeAdministrator(harness, 'owner')
      harness.clock.now += 181 * day
      const owner = await makeAdministrator(harness, 'owner')
      expectProblem(await owner.api.delete(`/v1/admin/administrators/${owner.id}`), 409, 'last_owner')
    })

    test('remains when two remove each other at once', async () => {
      const first = await makeAdministrator(harness, 'owner')
      const second = await makeAdministrator(harness, 'owner')
      for (const { api } of [first, second]) expect((await api.get('/v1/admin/me')).status).toBe(200)
      const answers = await race(6, (index) =>
        index % 2 === 0
          ? first.api.delete(`/v1/admin/administrators/${second.id}`)
          : second.api.delete(`/v1/admin/administrators/${first.id}`),
      )
      expect(answers.some(({ status }) => status === 204)).toBe(true)
      expect(answers.filter(({ status }) => ![204, 401, 403, 409].includes(status))).toEqual([])
      expect(await countRows(harness.main, `administrators WHERE ended_at IS NULL`)).toBe(1)
      const ends = await Promise.all([first, second].map(({ id }) => audited('administrator.ended', id)))
      expect(ends.flat()).toHaveLength(1)
    })

    test('remains when two demote each other at once', async () => {
      const first = await makeAdministrator(harness, 'owner')
      const second = await makeAdministrator(harness, 'owner')
      const answers = await Promise.all([
        first.api.send('PATCH', `/v1/admin/administrators/${second.id}`, { roles: ['auditor'] }),
        second.api.send('PATCH', `/v1/admin/administrators/${first.id}`, { roles: ['auditor'] }),
      ])
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
      expect(await countRows(harness.main, `administrators WHERE instr(roles, '"owner"') > 0`)).toBe(1)
    })

    test('of three, one who was removed just now removes nobody any more', async () => {
      const [first, second] = [await makeAdministrator(harness, 'owner'), await makeAdministrator(harness, 'owner')]
      await makeAdministrator(harness, 'owner')
      const answers = await Promise.all([
        first.api.delete(`/v1/admin/administrators/${second.id}`),
        second.api.delete(`/v1/admin/administrators/${first.id}`),
      ])
      expect(answers.filter(({ status }) => status === 204)).toHaveLength(1)
      expect(await countRows(harness.main, `administrators WHERE ended_at IS NULL`)).toBe(2)
    })
  })

  describe('the first one', () => {
    const bootstrap = (given = secret, name = 'First'): Promise<Answer> =>
      harness.api.with(given).post('/v1/admin/bootstrap', { name })

    test('is made by the command line, as anything', async () => {
      const body = { name: 'Anna', roles: ['auditor'] }
      const made = await localOperator(harness).post('/v1/admin/administrators', body)
      const me = await harness.api.with(made.body.credential).get('/v1/admin/me')
      expect(me.body).toMatchObject({ id: made.body.id, ...body })
    })

    test('is made with the bootstrap secret, once; a lost answer is repeated until the first use', async () => {
      await reopen(bootstrapped)
      const lost = await bootstrap()
      const kept = await bootstrap(secret, 'Second try')
      expect([lost.status, kept.status, kept.body.id]).toEqual([201, 201, lost.body.id])
      expect(kept.body.roles).toEqual(['owner'])
      expectProblem(await harness.api.with(lost.body.credential).get('/v1/admin/me'), 401, 'credential_invalid')
      const me = await harness.api.with(kept.body.credential).get('/v1/admin/me')
      expect([me.status, me.body.name]).toEqual([200, 'Second try'])
      expectProblem(await bootstrap(), 403, 'bootstrap_closed')
      expect(await countRows(harness.main, 'administrators')).toBe(1)
      expect(await findLeaks(harness, secret, kept.body.credential)).toEqual([])
    })

    test('is one, however many ask at once', async () => {
      await reopen(bootstrapped)
      const answers = await race(10, () => bootstrap())
      expect(statusesOf(answers).filter((status) => status !== 201 && status !== 403)).toEqual([])
      expect(await countRows(harness.main, 'administrators')).toBe(1)
      expect((await bootstrap()).status).toBe(201)
    })

    test('is refused alike for a wrong secret, without the setting, and once there has been one', async () => {
      await reopen()
      const refusals = [await bootstrap()]
      await reopen({ ADMIN_BOOTSTRAP_SHA256: sha256('short-secret') })
      refusals.push(await bootstrap('short-secret'))
      await reopen(bootstrapped)
      refusals.push(await bootstrap(`${secret}x`), await bootstrap('cb_dev_anything'))
      const { credential, id } = await makeAdministrator(harness, 'owner')
      refusals.push(await bootstrap(), await bootstrap(credential))
      await makeAdministrator(harness, 'owner')
      await localOperator(harness).delete(`/v1/admin/administrators/${id}`)
      refusals.push(await bootstrap())
      for (const refusal of refusals) expectProblem(refusal, 403, 'bootstrap_closed')
      expect(new Set(refusals.map(({ body }) => JSON.stringify(body))).size).toBe(1)
      expectProblem(await harness.api.post('/v1/admin/bootstrap', { name: 'X' }), 401, 'credential_required')
    })

    test('is not handed out again where the credential has been replaced, though nobody has used the new one', async () => {
      await reopen(bootstrapped)
      const { body: first } = await bootstrap()
      expect((await harness.api.with(first.credential).get('/v1/admin/me')).status).toBe(200)
      const replaced = await localOperator(harness).post(`/v1/admin/administrators/${first.id}/credential`)
      expectProblem(await bootstrap(), 403, 'bootstrap_closed')
      expect((await harness.api.with(replaced.body.credential).get('/v1/admin/me')).status).toBe(200)
    })

    test('that nobody has been yet is not handed out again beside another administrator', async () => {
      await reopen(bootstrapped)
      expect((await bootstrap()).status).toBe(201)
      await makeAdministrator(harness, 'auditor')
      expectProblem(await bootstrap(), 403, 'bootstrap_closed')
    })
  })

  describe('the machine’s own operator', () => {
    test('may do everything, is in no table, and has nothing to rotate', async () => {
      const before = await countRows(harness.main, 'administrators')
      const api = localOperator(harness)
      expect((await api.get('/v1/admin/me')).body).toEqual({
        id: 'command line',
        name: null,
        roles: ['owner', 'operator', 'approver', 'privacy', 'auditor'],
        credentialExpiresAt: null,
      })
      expect(await countRows(harness.main, 'administrators')).toBe(before)
      expectProblem(await api.post('/v1/admin/credential'), 403, 'credential_of_another_kind')
      expect(await findLeaks(harness, harness.service.administration.localOperator())).toEqual([])
    })

    test('has a credential that opens nothing in another process', async () => {
      const other = await openRoomHarness(engine)
      try {
        const elsewhere = other.service.administration.localOperator()
        expect(elsewhere).not.toBe(harness.service.administration.localOperator())
        expectProblem(await harness.api.with(elsewhere).get('/v1/admin/me'), 401, 'credential_invalid')
      } finally {
        await other.close()
      }
    })

    test('does not exist where nobody asked for it', async () => {
      await reopen()
      expectProblem(await harness.api.with('cb_adm_').get('/v1/admin/me'), 401, 'credential_invalid')
      expectProblem(await harness.api.with('undefined').get('/v1/admin/me'), 401, 'credential_invalid')
    })
  })
})
