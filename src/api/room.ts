import { createRoute as createOpenApiRoute, OpenAPIHono, z, type RouteConfig } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { DomainError } from '../errors.ts'
import type { Gauge } from '../ports/meter.ts'
import type { Connection } from '../ports/connection.ts'
import type { TableDeclaration } from '../ports/personal-data.ts'
import type { DocumentTag } from './openapi-words.ts'
import { problemDocument } from './shapes.ts'

/** Who is asking, as the credential proved it. */
export interface DeviceCaller {
  readonly subscriberId: string
  readonly deviceId: string
}

/** Reads the `Authorization` header of a device; rejects with `credential_required` or `credential_invalid`. */
export type AuthenticateDevice = (authorization: string | undefined) => Promise<DeviceCaller>

/** From where a request came: what rooms are told of its connection. */
export type ClientConnection = Pick<Connection, 'network' | 'local'>

declare module 'hono' {
  interface ContextVariableMap {
    client: ClientConnection
  }
}

/** Work that is done again and again. `cron` is one of the patterns that `wrangler.toml` names too. */
export interface Job {
  readonly name: string
  readonly cron: '* * * * *' | '17 3 * * *'
  run(): Promise<void>
}

/** An invariant. Resolves to what breaks it, one line each, empty where it holds. */
export interface Check {
  readonly name: string
  run(): Promise<string[]>
}

/** What every room hands to the service. */
export interface Room {
  readonly routes: readonly OpenAPIHono[]
  readonly jobs: readonly Job[]
  readonly personalData: readonly TableDeclaration[]
  readonly checks: readonly Check[]
  /** Figures for a monitoring system. */
  readonly gauges?: readonly Gauge[]
  /** What makes the service usable but not as it should be; each tells what to do. Shown by `/readyz`. */
  readonly warnings?: () => Promise<readonly string[]>
}

const sizedThings: Readonly<Record<string, string>> = { string: 'character', array: 'item', set: 'item' }
const inThings = (size: number | bigint, origin: string): string => {
  const thing = sizedThings[origin]
  return thing === undefined ? String(size) : `${size} ${thing}${Number(size) === 1 ? '' : 's'}`
}

/** The types of values, as those know them who write JSON. */
const typeWords: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
}

const oneOf = (values: readonly unknown[]): string => values.map(String).join(' or ')

/** What the words of the library for the shapes begin with, where a shape has none of its own. */
const isOwnMessage = ({ message }: z.core.$ZodIssue): boolean => !/^(?:Invalid |Too (?:big|small): )/.test(message)

/** Of a value that may have one of several shapes: what each of them says, or by which field they are told apart. */
function describeUnion(issue: z.core.$ZodIssueInvalidUnion): string {
  if ('options' in issue && Array.isArray(issue.options)) return `must be ${oneOf(issue.options)}`
  const said = issue.errors.flatMap(([first]) => (first === undefined ? [] : [describeIssue(first)]))
  if (said.includes('missing')) return 'missing'
  return said.length === 0 ? issue.message : [...new Set(said)].join(', or ')
}

/** A field as its place in the body; one that is no name of a field is not repeated, for it may be anything. */
const fieldName = (place: string, key: string): string => {
  if (!/^[A-Za-z]\w{0,29}$/.test(key)) return place === '' ? 'an unknown field' : `an unknown field of ${place}`
  return place === '' ? key : `${place}.${key}`
}

/** What is wrong, as the shape says it itself, or for a size in plain words. */
const describeIssue = (issue: z.core.$ZodIssue): string => {
  if (issue.code === 'unrecognized_keys') return 'has an unknown field'
  if (isOwnMessage(issue)) return issue.message
  if (issue.code === 'invalid_type') {
    return issue.message.endsWith('received undefined')
      ? 'missing'
      : `must be ${typeWords[issue.expected] ?? issue.expected}`
  }
  if (issue.code === 'invalid_value') return `must be ${oneOf(issue.values)}`
  if (issue.code === 'invalid_union') return describeUnion(issue)
  if (!/^Too (?:big|small): /.test(issue.message)) return issue.message
  const { code } = issue
  if (code === 'too_big') return `at most ${inThings(issue.maximum, issue.origin)}`
  if (code === 'too_small') return `at least ${inThings(issue.minimum, issue.origin)}`
  return issue.message
}

/** How many faults are said, and how many unknown fields of one object. */
const faultsSaid = 5

/** The first faults of a request, in words; the value itself is never repeated. */
export const describeFault = (error: z.core.$ZodError): string =>
  error.issues
    .slice(0, faultsSaid)
    .map((issue) => {
      const place = issue.path.join('.')
      if (issue.code !== 'unrecognized_keys') return `${place === '' ? 'the body' : place}: ${describeIssue(issue)}`
      const names = issue.keys.slice(0, faultsSaid).map((key) => fieldName(place, key))
      return `${[...new Set(names)].join(', ')}: not a field of this request`
    })
    .join('; ')

/** A router whose request faults become `invalid_request`. */
export const createRoutes = (): OpenAPIHono =>
  new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw new DomainError('invalid_request', describeFault(result.error))
    },
  })

/** What the OpenAPI document needs of every route: a stable name, by which clients are generated, and a heading. */
interface Documented {
  readonly operationId: string
  readonly tags: [DocumentTag]
}

/** A route of the API, as the OpenAPI document shows it. */
export const createRoute = <P extends string, R extends Omit<RouteConfig, 'path'> & { path: P } & Documented>(
  route: R,
) => createOpenApiRoute<P, R>(route)

/** The JSON body of a request, required. */
export const jsonBody = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { 'application/json': { schema } },
})

/** The JSON body of an answer. */
export const jsonAnswer = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: { 'application/json': { schema } },
})

/** The refusals that an endpoint may answer, for the OpenAPI document. */
export const problemAnswer = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemDocument } },
})

/** The id in a path. */
export const idInPath = z.object({ id: z.string().max(64) })

export const unauthorized = problemAnswer('The credential, or device secret, is missing or wrong')
export const notFound = problemAnswer('There is none, or it is not yours')

/** The credential of a request, as the OpenAPI document names it. */
export const bearer = [{ bearer: [] }]

/** The token of `Authorization: Bearer …`. Throws `credential_required`. */
export const bearerToken = (authorization: string | undefined): string => {
  const token = /^Bearer ([\w.~+/-]{1,200}=*)$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) {
    throw new DomainError('credential_required', 'Send the header "Authorization: Bearer <credential>".')
  }
  return token
}

/** The caller of a device endpoint. */
export const deviceCaller = (context: Context, authenticate: AuthenticateDevice): Promise<DeviceCaller> =>
  authenticate(context.req.header('Authorization'))

/** RFC 3339 in UTC, from UTC milliseconds. */
export const timestamp = (milliseconds: number): string => new Date(milliseconds).toISOString()

/** The JSON body of a request whose route reads it by itself. Throws `unsupported_media_type`, `malformed_json`. */
export async function readJson(context: Context): Promise<unknown> {
  if (!/^application\/json\s*(;|$)/i.test(context.req.header('Content-Type') ?? '')) {
    throw new DomainError('unsupported_media_type', 'Send application/json.')
  }
  try {
    return await context.req.json()
  } catch (cause) {
    throw new DomainError('malformed_json', 'The body is not JSON.', { cause })
  }
}
