import type { OpenApiDocument, Operation } from './openapi-document.ts'
import type { Example } from './openapi-document.ts'
import { examples } from './openapi-examples.ts'
import { documentDescription, plainOperations, tagDescriptions } from './openapi-words.ts'

type MediaTypes = Exclude<NonNullable<Operation['requestBody']>, { $ref: string }>['content']

/** An answer in a route. It stands in place, never by reference. */
interface DocumentedResponse {
  readonly description: string
  readonly content?: MediaTypes
  readonly headers?: Readonly<Record<string, object>>
}

const isResponse = (value: unknown): value is DocumentedResponse =>
  typeof value === 'object' && value !== null && 'description' in value

const responsesOf = (operation: Operation): Map<string, DocumentedResponse> => {
  const responses = new Map<string, DocumentedResponse>()
  for (const [status, response] of Object.entries<unknown>(operation.responses ?? {})) {
    if (isResponse(response)) responses.set(status, response)
  }
  return responses
}

/** One code of all refusals, for the document. */
export interface DocumentedProblem {
  readonly code: string
  readonly status: number
  readonly title: string
  readonly when: string
}

const methods = ['get', 'put', 'post', 'patch', 'delete'] as const
export type Method = (typeof methods)[number]

/** Every operation of a document with its method and path, in the document's order. */
export function* operationsOf(
  document: OpenApiDocument,
): Generator<{ method: Method; path: string; operation: Operation }> {
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of methods) {
      const operation = item[method]
      if (operation !== undefined) yield { method, path, operation }
    }
  }
}

const problemBody = (status: number, problems: readonly DocumentedProblem[]) => {
  const [first] = problems.filter((problem) => problem.status === status)
  const example = {
    type: `urn:certbook:problem:${first?.code ?? 'internal_error'}`,
    title: first?.title ?? 'Internal error',
    status,
    code: first?.code ?? 'internal_error',
    detail: first?.when ?? 'the fault is in the service',
    instance: '/v1/…',
  }
  return {
    'application/problem+json': { schema: { $ref: '#/components/schemas/ProblemDocument' }, example },
  }
}

/** The refusals that follow from the kind of operation. The routes themselves name others, such as `409`. */
const commonStatuses = (method: Method, path: string, operation: Operation): readonly number[] => {
  const takesBody = operation.requestBody !== undefined
  const takesInput = takesBody || (operation.parameters ?? []).length > 0
  return [
    ...(takesBody ? [400, 413, 415] : []),
    ...((operation.security ?? []).length > 0 ? [401] : []),
    403,
    ...(path.includes('{') ? [404] : []),
    ...(method === 'get' ? [] : [409]),
    ...(takesInput ? [422] : []),
    429,
    500,
    503,
  ]
}

const statusWords: Readonly<Record<number, string>> = {
  400: 'The body is not JSON',
  401: 'The credential is missing or wrong',
  403: 'This caller may not do this, or the connection is not safe',
  404: 'There is none, or it is not yours',
  409: 'The state of things does not allow it; read again',
  413: 'The body is too large',
  415: 'The Content-Type is not one that is taken',
  422: 'A field is refused',
  429: 'Too many requests; see Retry-After',
  500: 'The fault is on this side',
  503: 'Not now; see Retry-After',
}

/** The headers that tell a client when to ask again. */
const retryAfter = {
  'Retry-After': { description: 'Seconds until it may succeed', schema: { type: 'integer' as const } },
}

/** Whether an answer with an error status is no problem document. `/readyz` has one. */
const isPlainAnswer = ({ content }: DocumentedResponse): boolean =>
  content !== undefined && !('application/problem+json' in content)

function completeResponses(
  method: Method,
  path: string,
  operation: Operation,
  problems: readonly DocumentedProblem[],
): Record<string, DocumentedResponse> {
  const responses = responsesOf(operation)
  for (const status of commonStatuses(method, path, operation)) {
    if (!responses.has(String(status))) responses.set(String(status), { description: statusWords[status] ?? 'Refused' })
  }
  for (const [status, response] of responses) {
    if (Number(status) < 400 || isPlainAnswer(response)) continue
    responses.set(status, {
      ...response,
      content: problemBody(Number(status), problems),
      ...(status === '429' || status === '503' ? { headers: retryAfter } : {}),
    })
  }
  return Object.fromEntries(responses)
}

const withJsonExample = (content: MediaTypes, example: unknown): MediaTypes =>
  content['application/json'] === undefined
    ? content
    : { ...content, 'application/json': { ...content['application/json'], example } }

/** Puts an example of the request and of the answer where their JSON is described. */
function withExample(operation: Operation, example: Example | undefined): Operation {
  if (example === undefined) return operation
  const responses = responsesOf(operation)
  for (const [status, response] of responses) {
    if (Number(status) >= 400 || response.content === undefined || example.answer === undefined) continue
    if (example.answerStatus !== undefined && example.answerStatus !== status) continue
    responses.set(status, { ...response, content: withJsonExample(response.content, example.answer) })
  }
  const answered = { ...operation, responses: Object.fromEntries(responses) }
  const { requestBody } = operation
  if (requestBody === undefined || '$ref' in requestBody || example.request === undefined) return answered
  const content = withJsonExample(requestBody.content, example.request)
  return { ...answered, requestBody: { ...requestBody, content } }
}

/**
 * Adds what all operations share, so that no route repeats it: common refusals, the explicit absence of security,
 * examples, the texts of the tags, and the endpoints that are not JSON.
 */
export function completeDocument(document: OpenApiDocument, problems: readonly DocumentedProblem[]): OpenApiDocument {
  const complete: OpenApiDocument = {
    ...document,
    info: { ...document.info, description: documentDescription },
    paths: structuredClone({ ...document.paths, ...plainOperations }),
  }
  const used = new Set<string>()
  for (const { method, path, operation } of operationsOf(complete)) {
    const item = complete.paths?.[path]
    if (item === undefined) continue
    const secured = { ...operation, security: operation.security ?? [] }
    const answered = { ...secured, responses: completeResponses(method, path, secured, problems) }
    item[method] = withExample(answered, examples[operation.operationId ?? ''])
    for (const tag of operation.tags ?? []) used.add(tag)
  }
  complete.tags = Object.entries(tagDescriptions)
    .filter(([name]) => used.has(name))
    .map(([name, description]) => ({ name, description }))
  return complete
}
