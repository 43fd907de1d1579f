import type { OpenAPIHono } from '@hono/zod-openapi'

/** The OpenAPI document as the routes make it. What all operations share is added later. */
export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

type PathItem = NonNullable<NonNullable<OpenApiDocument['paths']>[string]>
export type Operation = NonNullable<PathItem['get']>
