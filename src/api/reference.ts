import type { OpenAPIHono } from '@hono/zod-openapi'
import type { OpenApiDocument } from './openapi-document.ts'
import { completeDocument, type DocumentedProblem } from './openapi.ts'
import { pageAnswer, pageLanguage, type PageLanguage } from './page.ts'
import { referencePage } from './reference-page.ts'

const documentInfo = {
  openapi: '3.1.0',
  info: {
    title: 'certbook',
    version: '1',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
}

/** Adds `/openapi.json` and `/docs` to an app that has all its other routes. */
export function mountReference(
  app: OpenAPIHono,
  parts: { readonly publicUrl: string; readonly problems: readonly DocumentedProblem[] },
): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    description:
      'The credential of a device or an administrator; during a registration, the device secret of that registration.',
  })
  let made: { readonly document: OpenApiDocument; readonly text: string } | null = null
  const document = () => {
    if (made === null) {
      const servers = [{ url: parts.publicUrl }]
      const complete = completeDocument(app.getOpenAPI31Document({ ...documentInfo, servers }), parts.problems)
      made = { document: complete, text: JSON.stringify(complete) }
    }
    return made
  }
  app.get('/openapi.json', (context) => context.body(document().text, 200, { 'Content-Type': 'application/json' }))
  // Made once: it takes about ten milliseconds, and anyone may ask for it.
  const pages = new Map<PageLanguage, ReturnType<typeof referencePage>>()
  app.get('/docs', (context) => {
    const language = pageLanguage(context.req.header('Accept-Language'))
    const page = pages.get(language) ?? referencePage(document().document, parts.problems, language)
    pages.set(language, page)
    return pageAnswer(context, page)
  })
}
