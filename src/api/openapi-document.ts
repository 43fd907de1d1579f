import type { OpenAPIHono } from '@hono/zod-openapi'

/** The OpenAPI document as the routes make it. What all operations share is added later. */
export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

type PathItem = NonNullable<NonNullable<OpenApiDocument['paths']>[string]>
export type Operation = NonNullable<PathItem['get']>

/** An example for one operation. A test checks it against the shapes. */
export interface Example {
  readonly request?: unknown
  readonly answer?: unknown
  /** The status of the answer in the example, if the operation has answers of several shapes. */
  readonly answerStatus?: string
}
