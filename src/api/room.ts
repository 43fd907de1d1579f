import { createRoute as createOpenApiRoute, OpenAPIHono, z, type RouteConfig } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { DomainError } from '../errors.ts'
import type { Gauge } from '../ports/meter.ts'
import type { Connection } from '../ports/connection.ts'
import type { TableDeclaration } from '../ports/personal-data.ts'
import type { DocumentTag } from './openapi-words.ts'
import { bodyBytes, bodyBytesName } from './body-bytes.ts'
import { problemDocument } from './shapes.ts'

/** The device that is asking, as its credential proved. */
export interface DeviceCaller {
  readonly subscriberId: string
  readonly deviceId: string
}

/**
 * Reads the `Authorization` header of a device. Resolves to the same object until something changes about the device's
 * subscriber, their mailboxes, devices or certificates; so what is derived from those may be remembered by the object.
 * Rejects with `credential_required`, `credential_invalid`, `credential_of_another_kind`.
 */
export type AuthenticateDevice = (authorization: string | undefined, request?: object) => Promise<DeviceCaller>

/** What rooms are told about the connection of a request. */
export type ClientConnection = Pick<Connection, 'network' | 'address' | 'local' | 'recognised'>

declare module 'hono' {
  interface ContextVariableMap {
    client: ClientConnection
  }
}

/** Repeated work. `cron` is a pattern that `wrangler.toml` also names. */
export interface Job {
  readonly name: string
  readonly cron: '* * * * *' | '17 3 * * *'
  run(): Promise<void>
}

/** An invariant. Resolves to its faults, one line each; empty if it holds. */
export interface Check {
  readonly name: string
  run(): Promise<string[]>
}

/** What every room gives to the service. */
export interface Room {
  readonly routes: readonly OpenAPIHono[]
  readonly jobs: readonly Job[]
  readonly personalData: readonly TableDeclaration[]
  readonly checks: readonly Check[]
  /** Figures for a monitoring system. */
  readonly gauges?: readonly Gauge[]
  /** Warnings about a usable service, shown by `/readyz`. Each says what to do. */
  readonly warnings?: () => Promise<readonly string[]>
}

const sizedThings: Readonly<Record<string, string>> = { string: 'character', array: 'item', set: 'item' }
const inThings = (size: number | bigint, origin: string): string => {
  const thing = sizedThings[origin]
  return thing === undefined ? String(size) : `${size} ${thing}${Number(size) === 1 ? '' : 's'}`
}

/** The types of values in the words of people who write JSON. */
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

/** Whether a shape has a message of its own. The messages of the library begin with these words. */
const isOwnMessage = ({ message }: z.core.$ZodIssue): boolean => !/^(?:Invalid |Too (?:big|small): )/.test(message)

/** The fault of a value that may have several shapes: what each shape says, or the field that decides between them. */
function describeUnion(issue: z.core.$ZodIssueInvalidUnion): string {
  if ('options' in issue && Array.isArray(issue.options)) return `must be ${oneOf(issue.options)}`
  const said = issue.errors.flatMap(([first]) => (first === undefined ? [] : [describeIssue(first)]))
  if (said.includes('missing')) return 'missing'
  return said.length === 0 ? issue.message : [...new Set(said)].join(', or ')
}

/** A field with its place in the body. A name that may be anything is not repeated. */
const fieldName = (place: string, key: string): string => {
  if (!/^[A-Za-z]\w{0,29}$/.test(key)) return place === '' ? 'an unknown field' : `an unknown field of ${place}`
  return place === '' ? key : `${place}.${key}`
}

/** The fault in the words of the shape. A size is said in plain words. */
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

/** How many faults are reported, and how many unknown fields of one object. */
const faultsSaid = 5

/** The first faults of a request, in words. Never repeats a value. */
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

/** A router that answers faults of a request with `invalid_request`. */
export const createRoutes = (): OpenAPIHono =>
  new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw new DomainError('invalid_request', describeFault(result.error))
    },
  })

/** What the OpenAPI document needs of every route: a stable name, from which clients are generated, and a heading. */
interface Documented {
  readonly operationId: string
  readonly tags: [DocumentTag]
}

/** Declares a route of the API and of the OpenAPI document. */
export const createRoute = <P extends string, R extends Omit<RouteConfig, 'path'> & { path: P } & Documented>(
  route: R,
) => createOpenApiRoute<P, R>(route)

/** The JSON body of a request, required. `most`: the bytes that the route takes, where the usual number does not do. */
export const jsonBody = <T extends z.ZodType>(schema: T, most: number = bodyBytes.usual) => ({
  required: true,
  [bodyBytesName]: most,
  content: { 'application/json': { schema } },
})

/** The JSON body of an answer. */
export const jsonAnswer = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: { 'application/json': { schema } },
})

/** Refusals of an endpoint, for the OpenAPI document. */
export const problemAnswer = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemDocument } },
})

/** The id in a path. */
export const idInPath = z.object({ id: z.string().max(64) })

export const unauthorized = problemAnswer('The credential, or device secret, is missing or wrong')
export const notFound = problemAnswer('There is none, or it is not yours')

/** The security requirement of the OpenAPI document for a bearer credential. */
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
export async function deviceCaller<Caller extends DeviceCaller>(
  context: Context,
  authenticate: (authorization: string | undefined, request: object) => Promise<Caller>,
): Promise<Caller> {
  const caller = await authenticate(context.req.header('Authorization'), context)
  context.get('client').recognised?.()
  return caller
}

/** RFC 3339 in UTC, from UTC milliseconds. */
export const timestamp = (milliseconds: number): string => new Date(milliseconds).toISOString()

/** Reads a JSON body, for routes that parse it themselves. Throws `unsupported_media_type`, `malformed_json`. */
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
