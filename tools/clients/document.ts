import { z } from 'zod'

/** The part of JSON Schema that the service's document uses for the calls of a device. */
export interface Schema {
  readonly $ref?: string | undefined
  /** One, or one and `null`. */
  readonly type?: readonly string[] | undefined
  readonly enum?: readonly string[] | undefined
  readonly properties?: Readonly<Record<string, Schema>> | undefined
  readonly required?: readonly string[] | undefined
  readonly items?: Schema | undefined
  readonly anyOf?: readonly Schema[] | undefined
  readonly oneOf?: readonly Schema[] | undefined
}

const schema: z.ZodType<Schema> = z.lazy(() =>
  z.object({
    $ref: z.string().optional(),
    type: z.union([z.string().transform((type) => [type]), z.array(z.string())]).optional(),
    // A list that may be null has it in its type as well.
    enum: z
      .array(z.union([z.string(), z.null()]))
      .transform((values) => values.filter((value) => value !== null))
      .optional(),
    properties: z.record(z.string(), schema).optional(),
    required: z.array(z.string()).optional(),
    items: schema.optional(),
    anyOf: z.array(schema).optional(),
    oneOf: z.array(schema).optional(),
  }),
)

/** What is sent or answered, by its media type; one that is not JSON may have no schema. */
const content = z.record(z.string(), z.object({ schema: schema.optional() })).optional()

const operation = z.object({
  operationId: z.string(),
  tags: z.array(z.string()).optional(),
  summary: z.string(),
  security: z.array(z.record(z.string(), z.unknown())).optional(),
  parameters: z
    .array(z.object({ name: z.string(), in: z.enum(['path', 'query']), required: z.boolean(), schema }))
    .optional(),
  requestBody: z.object({ required: z.boolean().optional(), content }).optional(),
  responses: z.record(z.string(), z.object({ content })),
})
export type DocumentOperation = z.output<typeof operation>

const openApiDocument = z.object({
  components: z.object({ schemas: z.record(z.string(), schema) }),
  paths: z.record(z.string(), z.record(z.string(), z.unknown())),
})

/** What is taken from `/openapi.json`. */
export interface ApiDocument {
  readonly schemas: Readonly<Record<string, Schema>>
  readonly operations: readonly (DocumentOperation & { readonly method: string; readonly path: string })[]
}

/** A device calls what stands under /v1 and is not for administrators. */
const isForDevices = (path: string): boolean => path.startsWith('/v1/') && !path.startsWith('/v1/admin/')

/** Reads the document as far as the calls of a device go. Throws ZodError. */
export function readDocument(document: unknown): ApiDocument {
  const { components, paths } = openApiDocument.parse(document)
  const operations = Object.entries(paths)
    .filter(([path]) => isForDevices(path))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, described]) => ({
        ...operation.parse(described),
        method: method.toUpperCase(),
        path,
      })),
    )
  return { schemas: components.schemas, operations }
}
