import type { OpenAPIHono } from '@hono/zod-openapi'

/** The OpenAPI document as the routes make it, before what all operations have in common is added. */
export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

type PathItem = NonNullable<NonNullable<OpenApiDocument['paths']>[string]>
export type Operation = NonNullable<PathItem['get']>
