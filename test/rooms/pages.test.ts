import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeliveryFailed, withoutTls, type Mailer } from '../../src/ports/mailer.ts'
import type { Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { expectProblem, hour, minute } from './support.ts'

/** Elements that have no end tag (HTML, 13.1.2). */
const voidElements = new Set(['meta', 'br', 'hr', 'img', 'input', 'link'])

/** What is wrong with a page as HTML: elements that are not closed, ids twice, links to nowhere. */
function htmlFaults(page: string): string[] {
  const faults: string[] = []
  const open: string[] = []
  const text = page.replace(/<style>[\s\S]*?<\/style>/, '').replace('<!doctype html>', '')
  for (const [, slash, name = ''] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:\s[^<>]*)?>/g)) {
    if (voidElements.has(name)) continue
    if (slash === '') open.push(name)
    else if (open.pop() !== name) faults.push(`</${name}> closes another element`)
  }
  faults.push(...open.map((name) => `<${name}> is never closed`))
  const ids = Array.from(text.matchAll(/ id="([^"]*)"/g), ([, id]) => id ?? '')
  faults.push(...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `the id ${id} stands twice`))
  const targets = Array.from(text.matchAll(/ (?:href="#|aria-labelledby=")([^"]*)"/g), ([, id]) => id ?? '')
  faults.push(...targets.filter((id) => !ids.includes(id)).map((id) => `nothing has the id ${id}`))
  if (/<(?!\/?[a-z])/.test(text)) faults.push('a bare <')
  return faults
}

describe.each(engines)('the pages on %s', (engine) => {
  let harness: RoomHarness
  beforeAll(async () => {
    harness = await openRoomHarness(engine, {
      settings: {
        CONTROLLER: 'Example & Sons <Berlin>',
        DPO_CONTACT: 'privacy@keys.example',
        SUPERVISORY_AUTHORITY: 'the authority of "Example"',
        QUERY_LOG_DAYS: '77',
      },
    })
  })
  afterAll(() => harness.close())

  test('who opens the service in a browser is led to the reference', async () => {
    const answer = await harness.ask('/')
    expect([answer.status, answer.headers.get('Location')]).toEqual([302, '/docs'])
  })

  const read = async (path: string, language = 'en') => {
    const answer = await harness.ask(path, { headers: { 'Accept-Language': language } })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }

  test('the terms are plain text that no other page may show as its own', async () => {
    const { status, headers } = await read('/terms')
    expect([status, headers.get('Content-Type')?.toLowerCase()]).toEqual([200, 'text/plain; charset=utf-8'])
    expect(headers.get('Content-Security-Policy')).toBe(`default-src 'none'; frame-ancestors 'none'`)
  })

  describe.each(['/privacy', '/docs'])('%s', (path) => {
    test.each(['en', 'de'])('is whole HTML in %s, loads nothing and runs nothing', async (language) => {
      const { status, headers, text } = await read(path, language)
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toBe('text/html; charset=utf-8')
      expect(headers.get('Content-Language')).toBe(language)
      expect(headers.get('Vary')).toContain('Accept-Language')
      expect(headers.get('Cache-Control')).toBe('no-store')
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
      expect(headers.get('Referrer-Policy')).toBe('no-referrer')
      expect(headers.get('Content-Security-Policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
      )
      expect(text).toMatch(new RegExp(`^<!doctype html>\\n<html lang="${language}">`))
      expect(htmlFaults(text)).toEqual([])
      expect(text).not.toMatch(
        /<(?:script|link|img|iframe|object|embed|form|base)\b|javascript:|@import|url\(| on\w+=/i,
      )
      const links = Array.from(text.matchAll(/\b(?:href|src|action)="([^"]*)"/g), ([, target]) => target ?? '')
      expect(links.filter((target) => !/^(?:#|\/[a-z])/.test(target))).toEqual([])
    })

    test.each([
      ['de', 'de'],
      ['de-AT,de;q=0.9,en;q=0.5', 'de'],
      ['en-US,en;q=0.9,de;q=0.8', 'en'],
      ['fr', 'en'],
      ['de;q=0', 'en'],
      ['*', 'en'],
      ['de;q=x, en;q=0.1', 'en'],
      ['', 'en'],
    ])('for "%s" comes in %s', async (asked, language) => {
      expect((await read(path, asked)).headers.get('Content-Language')).toBe(language)
    })
  })

  test('the hash in the policy is that of the one style of the page', async () => {
    const { headers, text } = await read('/privacy')
    const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? ''
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
    expect(headers.get('Content-Security-Policy')).toContain(`'sha256-${Buffer.from(digest).toString('base64')}'`)
  })

  const escaped = (text: string): string =>
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;')

  test('every table of the register is on /privacy, with its purpose, basis, end, recipients and promises', async () => {
    const { text } = await read('/privacy')
    expect(harness.service.personalData.length).toBeGreaterThan(20)
    for (const declaration of harness.service.personalData) {
      const { database, table, holds, purpose, legalBasis, retention, recipients, promises } = declaration
      const start = text.indexOf(`id="${database}-${table}"`)
      expect(start, table).toBeGreaterThan(0)
      const section = text.slice(start, text.indexOf('</section>', start))
      for (const said of [holds, purpose, legalBasis, retention, ...recipients])
        expect(section).toContain(escaped(said))
      for (const promise of promises) expect(section).toContain(`href="#promise-${promise}"`)
    }
  })

  test('every table is described in German as well', async () => {
    const { text } = await read('/privacy', 'de')
    for (const { german, recipients, ...english } of harness.service.personalData) {
      for (const said of [german.holds, german.purpose, german.legalBasis, german.retention, ...german.recipients]) {
        expect(said.length).toBeGreaterThan(5)
        expect(text).toContain(escaped(said))
      }
      expect(german.recipients).toHaveLength(recipients.length)
      expect(german.holds).not.toBe(english.holds)
    }
  })

  test('the operator stands on /privacy as set, and cannot break the page', async () => {
    const { text } = await read('/privacy')
    for (const shown of [
      'Example &amp; Sons &lt;Berlin&gt;',
      'privacy@keys.example',
      'the authority of &quot;Example&quot;',
    ]) {
      expect(text).toContain(shown)
    }
    expect(text).toContain('Lookups are deleted after 77 days.')
    expect(text).toContain('This directory is for members')
    expect(text).toMatch(/<strong>[^<]*CN=[^<]*<\/strong>, run by the controller as a part of this service/)
  })

  test('a page takes no body and no other method', async () => {
    for (const path of ['/privacy', '/docs']) expectProblem(await harness.api.post(path, {}), 405, 'method_not_allowed')
  })

  test('every operation of the document is in the reference, with a call to copy', async () => {
    const document = await (await harness.ask('/openapi.json')).json()
    const { text } = await read('/docs')
    for (const [path, item] of Object.entries<Record<string, { operationId: string }>>(document.paths)) {
      for (const [method, { operationId }] of Object.entries(item)) {
        const start = text.indexOf(`id="${operationId}"`)
        expect(start, `${method} ${path}`).toBeGreaterThan(0)
        const section = text.slice(start, text.indexOf('</section>', start))
        expect(section).toContain(`<code>${method.toUpperCase()} ${path}</code>`)
        expect(section).toContain(escaped(`'${document.servers[0].url}${path.replaceAll(/\{(\w+)\}/g, '<$1>')}'`))
      }
    }
    for (const name of Object.keys(document.components.schemas)) expect(text).toContain(`id="shape-${name}"`)
  })
})

test('a directory for everyone says so', async () => {
  const harness = await openRoomHarness('sqlite', { settings: { DIRECTORY_ACCESS: 'public' } })
  try {
    const text = await (await harness.ask('/privacy')).text()
    expect(text).toContain('This directory is public')
    expect(text).toContain('the shortened network address')
    expect(text).toContain('Not named: this service runs for trial on one machine.')
  } finally {
    await harness.close()
  }
})

describe('/readyz warns', () => {
  const warningsOf = async (harness: RoomHarness): Promise<{ status: number; warnings: string[] }> => {
    const answer = await harness.api.get('/readyz')
    return { status: answer.status, warnings: answer.body.warnings }
  }

  const registration = (email: string): Json => {
    const device = { appVersion: '1', deviceType: 'iPhone', osVersion: '26', language: 'en', serialNumber: null }
    return { email, accountType: 'imap', policyVersion: '2026-11', device }
  }

  /** Delivers nothing until `recover`. */
  const failingMailer = (failure: DeliveryFailed): { mailer: Mailer; recover: () => void } => {
    let fails = true
    const deliver = async (): Promise<void> => {
      if (fails) throw failure
    }
    return { mailer: { deliver }, recover: () => (fails = false) }
  }

  test('of mails that are held back rather than sent in clear, until they have gone', async () => {
    const { mailer, recover } = failingMailer(new DeliveryFailed(withoutTls, false))
    const harness = await openRoomHarness('sqlite', { mailer })
    try {
      await harness.api.post('/v1/registrations', registration('alice@example.com'))
      await harness.settled()
      const { status, warnings } = await warningsOf(harness)
      expect(status).toBe(200)
      expect(warnings).toEqual([expect.stringContaining('Mails are held back (1)')])
      recover()
      harness.clock.now += 2 * minute
      await harness.runJob('mail-send')
      expect(await warningsOf(harness)).toEqual({ status: 200, warnings: [] })
    } finally {
      await harness.close()
    }
  })

  test('of mails that the mail system refused, until it takes one', async () => {
    const { mailer, recover } = failingMailer(new DeliveryFailed('SMTP 550', true))
    const harness = await openRoomHarness('sqlite', { mailer })
    try {
      await harness.api.post('/v1/registrations', registration('alice@example.com'))
      await harness.settled()
      const { warnings } = await warningsOf(harness)
      expect(warnings).toEqual([
        expect.stringContaining('The mail system has refused mails, or not taken them in a day (1)'),
      ])
      recover()
      harness.clock.now += 1
      await harness.api.post('/v1/registrations', registration('bob@example.com'))
      await harness.settled()
      expect(await warningsOf(harness)).toEqual({ status: 200, warnings: [] })
    } finally {
      await harness.close()
    }
  })

  test('of mails that have been undeliverable for an hour, and no sooner', async () => {
    const harness = await openRoomHarness('sqlite', {
      mailer: { deliver: () => Promise.reject(new Error('connection refused')) },
    })
    try {
      const started = await harness.api.post('/v1/registrations', registration('alice@example.com'))
      expect(started.status).toBe(202)
      await harness.settled()
      harness.clock.now += hour
      await harness.runJob('revocation-lists')
      expect(await warningsOf(harness)).toEqual({ status: 200, warnings: [] })
      harness.clock.now += 1
      const { status, warnings } = await warningsOf(harness)
      expect(status).toBe(200)
      expect(warnings).toEqual([expect.stringContaining('Mails have been waiting for more than an hour')])
      expect(warnings.join()).not.toContain('alice')
    } finally {
      await harness.close()
    }
  })

  test('of a revocation list that is overdue, until it is issued', async () => {
    const harness = await openRoomHarness('sqlite')
    try {
      await harness.runJob('revocation-lists')
      harness.clock.now += 13 * hour - 2 * 60_000
      expect((await warningsOf(harness)).warnings).toEqual([])
      harness.clock.now += 3 * 60_000
      const { warnings } = await warningsOf(harness)
      expect(warnings).toEqual([expect.stringContaining('The revocation list of the issuing CA is overdue')])
      await harness.runJob('revocation-lists')
      expect((await warningsOf(harness)).warnings).toEqual([])
    } finally {
      await harness.close()
    }
  })
})
