import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { accepts } from 'hono/accepts'
import { createRoute, createRoutes, idInPath, jsonAnswer, jsonBody, problemAnswer, timestamp } from '../../api/room.ts'
import { confirmationAnswer, linkConfirmationRequest, linkFactsAnswer, linkFactsRequest } from '../../api/shapes.ts'
import { workName } from '../../api/work.ts'
import type { MailLanguage } from '../../mail/content.ts'
import { mailLanguageFor } from '../../mail/templates.ts'
import type { RegistrationDeps } from '../deps.ts'
import { linkPage, linkPageHeaders } from './page.ts'
import { confirmByLink, factsByLink, refuseByLink } from './verbs.ts'
import { leaves, rowsLeft } from '../../api/rows-left.ts'

const wrong = problemAnswer('The token or the code is wrong')
const gone = problemAnswer('The registration has ended')

const pageRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'getLinkPage',
  tags: ['Registration'],
  method: 'get',
  path: '/confirm/{id}',
  summary: 'The page behind a mailed link; it is the same for every id',
  request: { params: idInPath },
  responses: { 200: { description: 'The page', content: { 'text/html': { schema: z.string() } } } },
})

const factsRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'getLinkFacts',
  tags: ['Registration'],
  method: 'post',
  path: '/confirm/{id}/facts',
  summary: 'Which device started the registration of a link, and when; changes nothing',
  request: { params: idInPath, body: jsonBody(linkFactsRequest) },
  responses: { 200: jsonAnswer('The facts', linkFactsAnswer), 403: wrong, 410: gone },
})

const confirmRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'confirmByLink',
  tags: ['Registration'],
  method: 'post',
  path: '/confirm/{id}',
  summary: 'Prove the mailbox with the token of the link and the code that the device shows',
  request: { params: idInPath, body: jsonBody(linkConfirmationRequest) },
  [leaves]: rowsLeft({ registration: { audit_entries: 1 } }),
  responses: { 200: jsonAnswer('Proved', confirmationAnswer), 403: wrong, 410: gone },
})

const refuseRoute = createRoute({
  [workName]: 'enrolment',
  operationId: 'refuseByLink',
  tags: ['Registration'],
  method: 'post',
  path: '/confirm/{id}/refusal',
  summary: 'End a registration that the person behind the mailbox did not start',
  request: { params: idInPath, body: jsonBody(linkFactsRequest) },
  [leaves]: rowsLeft({ registration: { audit_entries: 1 } }),
  responses: {
    200: jsonAnswer('Ended', z.object({ state: z.literal('ended') })),
    403: wrong,
    409: problemAnswer('The device is registered already'),
  },
})

/** The first language that the browser prefers and the page has, else `fallback`. */
const pageLanguage = (context: Context, fallback: MailLanguage): MailLanguage => {
  const chosen = accepts(context, {
    header: 'Accept-Language',
    supports: ['de', 'en'],
    default: fallback,
    match: (wanted) =>
      wanted
        .filter(({ q }) => q > 0)
        .toSorted((left, right) => right.q - left.q)
        .map(({ type }) => type.toLowerCase().split('-')[0] ?? '')
        .find((language) => language === 'de' || language === 'en') ?? fallback,
  })
  return mailLanguageFor(chosen, fallback)
}

/** Confirmation by a person, who opens the link in the mail and types the code that the device shows. */
export function linkRoutes(deps: RegistrationDeps): OpenAPIHono {
  const routes = createRoutes()
  const pages = { de: linkPage('de'), en: linkPage('en') }
  const headers = linkPageHeaders(deps.sha256)

  routes.openapi(pageRoute, async (context) => {
    const language = pageLanguage(context, deps.mailLanguage)
    return context.html(await pages[language], 200, { ...headers, 'Content-Language': language })
  })

  routes.openapi(factsRoute, async (context) => {
    const { id } = context.req.valid('param')
    const facts = await factsByLink(deps, id, context.req.valid('json').token)
    return context.json({ ...facts, startedAt: timestamp(facts.startedAt) }, 200)
  })

  routes.openapi(confirmRoute, async (context) => {
    await confirmByLink(deps, context.req.valid('param').id, context.req.valid('json'))
    return context.json({ state: 'confirmed' as const }, 200)
  })

  routes.openapi(refuseRoute, async (context) => {
    await refuseByLink(deps, context.req.valid('param').id, context.req.valid('json').token)
    return context.json({ state: 'ended' as const }, 200)
  })
  return routes
}
