import type { OpenApiDocument, Operation } from './openapi-document.ts'
import { operationsOf, type DocumentedProblem, type Method } from './openapi.ts'
import { markup, type Html, type PageLanguage } from './page.ts'
import { shapeText, type Schema } from './reference-shapes.ts'
import { referenceWords } from './reference-words.ts'

/** The reference of the API for people: the OpenAPI document as one HTML page, without a script. */

const isPlainObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The part of the document that a `$ref` names, or the value itself. */
const resolved = (document: OpenApiDocument, value: unknown): Readonly<Record<string, unknown>> => {
  if (!isPlainObject(value)) return {}
  const { $ref } = value
  if (typeof $ref !== 'string') return value
  let found: unknown = document
  for (const name of $ref.replace('#/', '').split('/')) found = isPlainObject(found) ? found[name] : undefined
  return isPlainObject(found) ? found : {}
}

/** Text with code between backquotes, and bold between double asterisks. */
const prose = (text: string): Html =>
  markup`${text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith('`')) return markup`<code>${part.slice(1, -1)}</code>`
    if (part.startsWith('**')) return markup`<strong>${part.slice(2, -2)}</strong>`
    return markup`${part}`
  })}`

const paragraphs = (text: string): Html[] => text.split('\n\n').map((part) => markup`<p>${prose(part)}</p> `)

/** A value in single quotes for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

const schemaOf = (content: unknown, type: string): Schema | undefined => {
  if (!isPlainObject(content)) return undefined
  const media = content[type]
  return isPlainObject(media) && isPlainObject(media['schema']) ? media['schema'] : undefined
}

const exampleOf = (content: unknown): unknown => {
  const json = isPlainObject(content) ? content['application/json'] : undefined
  return isPlainObject(json) ? json['example'] : undefined
}

const isSecured = (operation: Operation): 'always' | 'sometimes' | 'never' => {
  const security = operation.security ?? []
  if (security.length === 0) return 'never'
  return security.some((requirement) => Object.keys(requirement).length === 0) ? 'sometimes' : 'always'
}

const requiredHeaders = (document: OpenApiDocument, operation: Operation): string[] =>
  (operation.parameters ?? [])
    .map((parameter) => resolved(document, parameter))
    .flatMap(({ in: place, required, name }) => (place === 'header' && required === true ? [String(name)] : []))

const curl = (document: OpenApiDocument, method: Method, path: string, operation: Operation): string => {
  const url = `${document.servers?.[0]?.url ?? ''}${path.replaceAll(/\{(\w+)\}/g, '<$1>')}`
  const { content } = resolved(document, operation.requestBody)
  const example = exampleOf(content)
  const [type] = isPlainObject(content) ? Object.keys(content) : []
  return [
    `curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}${quoted(url)}`,
    ...(isSecured(operation) === 'never' ? [] : [`  -H 'Authorization: Bearer <credential>'`]),
    ...requiredHeaders(document, operation).map((name) => `  -H '${name}: <value>'`),
    ...(type === undefined ? [] : [`  -H 'Content-Type: ${type}'`]),
    ...(example !== undefined ? [`  --data ${quoted(JSON.stringify(example))}`] : []),
    ...(type !== undefined && example === undefined ? [`  --data-binary @file`] : []),
  ].join(' \\\n')
}

/** A shape in place. If it has a name, also the link to it. */
const shownShape = (document: OpenApiDocument, type: string, schema: Schema | undefined): Html => {
  if (schema === undefined) return markup`<p><code>${type}</code></p>`
  const name = typeof schema['$ref'] === 'string' ? schema['$ref'].split('/').at(-1) : undefined
  const way = name === undefined ? '' : markup`: <a href="#shape-${name}">${name}</a>`
  return markup`<p><code>${type}</code>${way}</p>
<pre>${shapeText(resolved(document, schema))}</pre>`
}

const shape = (document: OpenApiDocument, content: unknown): Html[] =>
  isPlainObject(content) ? Object.keys(content).map((type) => shownShape(document, type, schemaOf(content, type))) : []

const parameterList = (document: OpenApiDocument, operation: Operation, language: PageLanguage): Html => {
  const words = referenceWords[language]
  const parameters = (operation.parameters ?? []).map((parameter) => resolved(document, parameter))
  if (parameters.length === 0) return markup``
  return markup`<h4>${words.parameters}</h4>
    <ul lang="en">
      ${parameters.map(({ name, in: place, required, description, schema }) => {
        const type = isPlainObject(schema) ? shapeText(schema) : ''
        const absent = required === true ? markup`` : markup`, <span lang="${language}">${words.optional}</span>`
        const meaning = typeof description === 'string' ? `: ${description}` : ''
        return markup`<li><code>${String(name)}</code> (${String(place)}${absent}) <code>${type}</code>${meaning}</li> `
      })}
    </ul> `
}

const answers = (document: OpenApiDocument, operation: Operation): Html[] =>
  Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const { description, content } = resolved(document, response)
    const isRefusal = Number(status) >= 400
    return markup`<dt>${status}</dt>
      <dd>${prose(String(description))}${isRefusal ? markup`` : shape(document, content)}</dd> `
  })

const answerExample = (document: OpenApiDocument, operation: Operation): unknown =>
  Object.values(operation.responses ?? {})
    .map((response) => exampleOf(resolved(document, response)['content']))
    .find((example) => example !== undefined)

const anchorOf = (text: string): string => text.replaceAll(/\W+/g, '-')

const operationSection = (
  document: OpenApiDocument,
  { method, path, operation }: { method: Method; path: string; operation: Operation },
  language: PageLanguage,
): Html => {
  const words = referenceWords[language]
  const { content } = resolved(document, operation.requestBody)
  const example = answerExample(document, operation)
  const secured = isSecured(operation)
  const id = anchorOf(operation.operationId ?? `${method} ${path}`)
  return markup`<section class="entry" aria-labelledby="${id}">
    <h3 id="${id}"><code>${method.toUpperCase()} ${path}</code></h3>
    <div lang="en">
      ${paragraphs(operation.summary ?? '')}${operation.description === undefined ? markup`` : paragraphs(operation.description)}
    </div>
    <p>
      ${secured === 'always' ? markup`${words.credential}<code>Authorization: Bearer …</code>` : secured === 'never' ? words.noCredential : words.maybeCredential}
    </p>
    ${parameterList(document, operation, language)}${
      content === undefined
        ? markup``
        : markup`<h4>${words.request}</h4>
            ${shape(document, content)}`
    }
    <h4>${words.example}</h4>
    <pre>${curl(document, method, path, operation)}</pre>
    <h4>${words.answers}</h4>
    <dl lang="en">${answers(document, operation)}</dl>
    ${
      example === undefined
        ? markup``
        : markup`<h4>${words.answerExample}</h4>
            <pre>${JSON.stringify(example, null, 2)}</pre>`
    }
  </section> `
}

const problemTable = (problems: readonly DocumentedProblem[], language: PageLanguage): Html => {
  const words = referenceWords[language]
  return markup`<table>
    <thead>
      <tr>
        <th scope="col">${words.code}</th>
        <th scope="col">${words.status}</th>
        <th scope="col">${words.when}</th>
      </tr>
    </thead>
    <tbody lang="en">
      ${problems.map(
        ({ code, status, when }) =>
          markup`<tr>
            <td><code>${code}</code></td>
            <td>${status}</td>
            <td>${when}</td>
          </tr> `,
      )}
    </tbody>
  </table>`
}

/** The whole reference: the document by its tags, the named shapes, and all codes of refusals. */
export function referencePage(
  document: OpenApiDocument,
  problems: readonly DocumentedProblem[],
  language: PageLanguage,
): { readonly language: PageLanguage; readonly title: string; readonly skip: string; readonly body: Html } {
  const words = referenceWords[language]
  const operations = [...operationsOf(document)]
  const tags = (document.tags ?? []).map(({ name, description }) => ({
    name,
    description: description ?? '',
    operations: operations.filter(({ operation }) => operation.tags?.includes(name)),
  }))
  const schemas = Object.entries(document.components?.schemas ?? {})
  const body = markup`<h1>${document.info.title}: ${words.title}</h1>
    <div lang="en">${paragraphs(document.info.description ?? '')}</div>
    <p>
      ${words.machine} <a href="/openapi.json"><code>/openapi.json</code></a>
    </p>
    <nav aria-label="${words.contents}">
      <ul>
        ${tags.map(({ name }) => markup`<li><a href="#tag-${anchorOf(name)}" lang="en">${name}</a></li> `)}
        <li><a href="#shapes">${words.shapes}</a></li>
        <li><a href="#codes">${words.codes}</a></li>
      </ul>
    </nav>
    ${tags.map(
      (tag) =>
        markup`<h2 id="tag-${anchorOf(tag.name)}" lang="en">${tag.name}</h2>
          <p lang="en">${tag.description}</p>
          ${tag.operations.map((entry) => operationSection(document, entry, language))}`,
    )}
    <h2 id="shapes">${words.shapes}</h2>
    ${schemas.map(
      ([name, schema]) =>
        markup`<section class="entry" aria-labelledby="shape-${name}">
          <h3 id="shape-${name}"><code>${name}</code></h3>
          <pre>${shapeText(isPlainObject(schema) ? schema : {})}</pre>
        </section> `,
    )}
    <h2 id="codes">${words.codes}</h2>
    ${problemTable(problems, language)} `
  return { language, title: `${document.info.title}: ${words.title}`, skip: words.skip, body }
}
