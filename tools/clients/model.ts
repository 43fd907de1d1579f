import type { ApiDocument, DocumentOperation, Schema } from './document.ts'

/** A type as both languages know it. */
export type TypeReference =
  | { readonly kind: 'string' | 'boolean' | 'number' | 'integer' }
  | { readonly kind: 'list'; readonly of: TypeReference }
  | { readonly kind: 'named'; readonly name: string }

export interface Field {
  readonly name: string
  readonly type: TypeReference
  /** May be left out. */
  readonly optional: boolean
  /** May be null. */
  readonly nullable: boolean
  /** The values that are known today, for a text that is one of a few. */
  readonly values: readonly string[]
}

export interface ObjectType {
  readonly kind: 'object'
  readonly name: string
  readonly fields: readonly Field[]
}

/** A text of which these values are known; later versions of the service may know more. */
export interface TextType {
  readonly kind: 'text'
  readonly name: string
  readonly values: readonly string[]
}
export type NamedType = ObjectType | TextType

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
}

export interface Operation {
  readonly name: string
  readonly summary: string
  readonly method: string
  readonly path: string
  readonly needsBearer: boolean
  readonly parameters: readonly Parameter[]
  /** The type of the JSON body. */
  readonly body: string | null
  /** The type of the JSON answer. */
  readonly answer: string | null
}

export interface Model {
  readonly types: readonly NamedType[]
  readonly operations: readonly Operation[]
  /** The names of the types that stand in requests. */
  readonly sent: ReadonlySet<string>
  /** The names of the types that stand in answers. */
  readonly answered: ReadonlySet<string>
}

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
const isNull = ({ type }: Schema): boolean => type?.length === 1 && type[0] === 'null'
const referenced = (reference: string): string => reference.replace(/^.*\//, '')

/** What the calls of a device are, and the types that they speak of, in the order in which they are met. */
export function modelOf({ schemas, operations }: ApiDocument): Model {
  const types = new Map<string, NamedType>()

  const resolve = (schema: Schema): Schema => {
    if (schema.$ref === undefined) return schema
    const found = schemas[referenced(schema.$ref)]
    if (found === undefined) throw new Error(`the document has no ${schema.$ref}`)
    return resolve(found)
  }

  const declareNamed = (name: string): void => {
    if (types.has(name)) return
    const schema = resolve({ $ref: name })
    if (schema.enum === undefined) declareObject(name, [schema])
    else types.set(name, { kind: 'text', name, values: schema.enum })
  }

  /** Several shapes become one type, in which only what all of them require is required. */
  const declareObject = (name: string, shapes: readonly Schema[]): void => {
    const variants = shapes.flatMap((shape) => variantsOf(resolve(shape)).map(resolve))
    const fields = new Map<string, Field>()
    // The name is taken at once: a type may speak of itself.
    types.set(name, { kind: 'object', name, fields: [] })
    for (const variant of variants) {
      for (const [field, schema] of Object.entries(variant.properties ?? {})) {
        const isRequired = variants.every((each) => each.required?.includes(field) === true)
        const read = readField(name, field, schema)
        const before = fields.get(field)
        const values = [...new Set([...(before?.values ?? []), ...read.values])]
        fields.set(field, { ...read, values, optional: !isRequired })
      }
    }
    types.set(name, { kind: 'object', name, fields: [...fields.values()] })
  }

  const variantsOf = (schema: Schema): readonly Schema[] =>
    (schema.anyOf ?? schema.oneOf ?? [schema]).filter((variant) => !isNull(variant))

  const readField = (owner: string, name: string, schema: Schema): Omit<Field, 'optional'> => {
    const alternatives = schema.anyOf ?? schema.oneOf ?? []
    const nullable = schema.type?.includes('null') === true || alternatives.some(isNull)
    return { name, type: typeOf(`${owner}${capitalised(name)}`, schema), nullable, values: schema.enum ?? [] }
  }

  const typeOf = (name: string, schema: Schema): TypeReference => {
    const [only, second] = variantsOf(schema)
    if (only !== undefined && second === undefined && only !== schema) return typeOf(name, only)
    if (schema.$ref !== undefined) return named(referenced(schema.$ref))
    if (second !== undefined || schema.properties !== undefined) {
      declareObject(name, [schema])
      return { kind: 'named', name }
    }
    const kind = schema.type?.find((each) => each !== 'null')
    if (kind === 'array' && schema.items !== undefined) {
      return { kind: 'list', of: typeOf(name.replace(/s$/, ''), schema.items) }
    }
    if (kind === 'boolean' || kind === 'number' || kind === 'integer') return { kind }
    // Times and DER are texts, and so is what is always null today.
    return { kind: 'string' }
  }

  const named = (name: string): TypeReference => {
    declareNamed(name)
    return { kind: 'named', name }
  }

  /** The name of the type of a body or an answer; several answers become one type. */
  const nameOf = (name: string, shapes: readonly Schema[]): string | null => {
    const [only, ...others] = new Map(shapes.map((shape) => [JSON.stringify(shape), shape])).values()
    if (only === undefined) return null
    if (others.length === 0 && only.$ref !== undefined) {
      declareNamed(referenced(only.$ref))
      return referenced(only.$ref)
    }
    declareObject(name, [only, ...others])
    return name
  }

  const read = operations.map(({ operationId, summary, method, path, ...described }): Operation => {
    const body = described.requestBody?.content?.['application/json']?.schema
    return {
      name: operationId,
      summary,
      method,
      path,
      needsBearer: (described.security ?? []).length > 0,
      // With a JSON body, the query is for its other forms.
      parameters: (described.parameters ?? []).filter((parameter) => parameter.in === 'path' || body === undefined),
      body: body === undefined ? null : nameOf(`${capitalised(operationId)}Request`, [body]),
      answer: nameOf(`${capitalised(operationId)}Answer`, answersOf(described)),
    }
  })
  return {
    types: [...types.values()],
    operations: read,
    sent: reached(
      types,
      read.map(({ body }) => body),
    ),
    answered: reached(
      types,
      read.map(({ answer }) => answer),
    ),
  }
}

/** The types that are met from some, these included. */
function reached(types: ReadonlyMap<string, NamedType>, from: readonly (string | null)[]): Set<string> {
  const found = new Set<string>()
  const open = from.filter((name) => name !== null)
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const type = types.get(name)
    if (type === undefined || found.has(name)) continue
    found.add(name)
    if (type.kind === 'object') open.push(...type.fields.flatMap((field) => namesIn(field.type)))
  }
  return found
}

function namesIn(type: TypeReference): string[] {
  if (type.kind === 'list') return namesIn(type.of)
  return type.kind === 'named' ? [type.name] : []
}

function answersOf({ responses }: Pick<DocumentOperation, 'responses'>): Schema[] {
  return Object.entries(responses).flatMap(([status, { content }]) => {
    const schema = content?.['application/json']?.schema
    return status.startsWith('2') && schema !== undefined ? [schema] : []
  })
}
