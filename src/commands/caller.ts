import type { z } from 'zod'
import type { ListenerBindings } from '../adapters/http-listener.ts'
import { isLoopbackHost } from '../ports/network.ts'
import { problemDocument } from '../api/shapes.ts'
import { withFiles } from './files.ts'
import { CommandFailed, exitCodes, Refused } from './terminal.ts'

/** Where a command finds the service. */
export interface ServiceOptions {
  readonly url?: string
}

/** One call of the API. `body` is sent as JSON. */
interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: unknown
  /** The version that a change is based on. */
  readonly ifVersion?: number
}

/** Calls one service with one credential, over HTTPS or in this process. */
export interface Caller {
  /** Resolves to the answer, checked against its shape. Throws `CommandFailed`. */
  ask<T extends z.ZodType>(shape: T, call: Call): Promise<z.output<T>>
  /** For calls that answer nothing. */
  tell(call: Call): Promise<void>
}

/** The setting that holds a credential, and what it must be set to. */
interface Secret {
  readonly setting: string
  readonly what: string
}

type Send = (path: string, init: RequestInit) => Promise<Response>

/** Whether a refusal is about the thing that was asked for, and not about the call itself. */
const isAboutTheThing = (status: number, code: string): boolean =>
  [404, 409, 422].includes(status) && code !== 'invalid_request'

const requestOf = ({ method, body, ifVersion }: Call, credential: string | null): RequestInit => {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (ifVersion !== undefined) headers['If-Match'] = `"${ifVersion}"`
  if (credential !== null) headers['Authorization'] = `Bearer ${credential}`
  if (body === undefined) return { method, headers }
  const text = JSON.stringify(body)
  headers['Content-Type'] = 'application/json'
  headers['Content-Length'] = String(Buffer.byteLength(text))
  return { method, headers, body: text }
}

const jsonOf = async (response: Response): Promise<unknown> => {
  try {
    return await response.json()
  } catch {
    return undefined
  }
}

/** Says a refusal of the Authorization header in terms of the setting that the header was made of. */
const inSettings = (code: string, { setting: name, what }: Secret): string | null => {
  if (code === 'credential_required') return `set ${name} to ${what}`
  return code === 'credential_invalid' ? `${name} is unknown to the service, or has ended; set it to ${what}` : null
}

async function requireOk(response: Response, secret: Secret | null): Promise<void> {
  if (response.ok) return
  const problem = problemDocument.safeParse(await jsonOf(response))
  if (!problem.success)
    throw new CommandFailed(`the service answered ${response.status}; is it certbook that is there?`)
  const { code } = problem.data
  const detail = secret === null ? problem.data.detail : (inSettings(code, secret) ?? problem.data.detail)
  throw new Refused(code, detail, isAboutTheThing(response.status, code) ? exitCodes.notInOrder : exitCodes.failed)
}

/** Makes a caller. `secret` is the setting that the credential came from. */
const createCaller = (send: Send, credential: string | null, secret: Secret | null = null): Caller => {
  const exchange = async (call: Call): Promise<Response> => {
    const response = await send(call.path, requestOf(call, credential))
    await requireOk(response, secret)
    return response
  }
  return {
    ask: async (shape, call) => {
      const parsed = shape.safeParse(await jsonOf(await exchange(call)))
      if (parsed.success) return parsed.data
      throw new CommandFailed('the service answered what this version does not know; use the version that it runs')
    },
    tell: async (call) => {
      await exchange(call)
    },
  }
}

const answerMilliseconds = 60_000

/**
 * Sends over the network: by TLS, or to this machine. It follows no redirect, which would carry the credential
 * elsewhere.
 */
const sendTo = (base: string): Send => {
  if (!URL.canParse(base)) throw new CommandFailed('--url is no URL; write it as https://keys.example.com')
  const { protocol, hostname, origin, pathname, search, username } = new URL(base)
  if (pathname !== '/' || search !== '' || username !== '') {
    throw new CommandFailed('--url has more than a scheme and a host; write it as https://keys.example.com')
  }
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopbackHost(hostname))) {
    throw new CommandFailed('--url must begin with https:, for a credential goes with each request')
  }
  return async (path, init) => {
    try {
      return await fetch(origin + path, {
        ...init,
        redirect: 'error',
        signal: AbortSignal.timeout(answerMilliseconds),
      })
    } catch (cause) {
      const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : 'no answer'
      throw new CommandFailed(`${origin} could not be reached (${why}); is the service running?`, exitCodes.failed, {
        cause,
      })
    }
  }
}

/** A setting of the environment. Empty means unset. */
export const setting = (name: string): string | null => {
  const value = process.env[name]
  return value === undefined || value === '' ? null : value
}

const urlOf = (options: ServiceOptions): string | null => options.url ?? setting('CERTBOOK_URL')

const requireSetting = ({ setting: name, what }: Secret): string => {
  const value = setting(name)
  if (value !== null) return value
  throw new CommandFailed(`set ${name} to ${what}; it is not taken from the command line, which others can see`)
}

/** Requests inside this process count as coming from this machine. */
const local: ListenerBindings = { peer: '127.0.0.1', encrypted: false, pkiOnly: false }

const inProcess = <T>(act: (caller: Caller) => Promise<T>, credentialed: boolean): Promise<T> =>
  withFiles(async ({ service }) => {
    const send: Send = async (path, init) => service.fetch(new Request(`http://127.0.0.1${path}`, init), local)
    return act(createCaller(send, credentialed ? service.administration.localOperator() : null))
  })

/**
 * Calls as an administrator. With a URL: over HTTPS with `CERTBOOK_ADMIN_CREDENTIAL`. Without: on the files of
 * `DATA_DIR`, beside a running service, as anybody can who can read them.
 */
export function asAdministrator<T>(options: ServiceOptions, act: (caller: Caller) => Promise<T>): Promise<T> {
  const url = urlOf(options)
  if (url === null) return inProcess(act, true)
  const secret = { setting: 'CERTBOOK_ADMIN_CREDENTIAL', what: 'the credential of an administrator (cb_adm_…)' }
  return act(createCaller(sendTo(url), requireSetting(secret), secret))
}

/** Calls without a credential. */
export function asAnyone<T>(options: ServiceOptions, act: (caller: Caller) => Promise<T>): Promise<T> {
  const url = urlOf(options)
  return url === null ? inProcess(act, false) : act(createCaller(sendTo(url), null))
}

/** Calls over HTTP with a bearer secret from the environment. If it is `optional` and not set, calls without one. */
export function overHttp(options: ServiceOptions, secret: Secret, optional = false): Caller {
  const url = urlOf(options)
  if (url === null) throw new CommandFailed('say where the service is: --url https://keys.example.com, or CERTBOOK_URL')
  const send = sendTo(url)
  return createCaller(send, optional ? setting(secret.setting) : requireSetting(secret), secret)
}

/** A path with a query. Undefined parameters are left out. */
export const withQuery = (path: string, parameters: Readonly<Record<string, string | undefined>>): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value)
  return query.size === 0 ? path : `${path}?${query}`
}
