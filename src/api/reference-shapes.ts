/** JSON Schema as readable text, as far as the document uses it. */

export type Schema = Readonly<Record<string, unknown>>

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const schemasIn = (value: unknown): Schema[] => (Array.isArray(value) ? value.filter(isSchema) : [])

const limits = (schema: Schema): string => {
  const { minLength, maxLength, minItems, maxItems, pattern, format } = schema
  const range = (least: unknown, most: unknown, what: string): string[] => {
    if (typeof most !== 'number') return []
    return [`${typeof least === 'number' ? least : 0} to ${most} ${what}`]
  }
  const said = [
    ...range(minLength, maxLength, 'characters'),
    ...range(minItems, maxItems, 'items'),
    ...(typeof format === 'string' ? [format] : []),
    ...(typeof pattern === 'string' ? [`matches ${pattern}`] : []),
  ]
  return said.length === 0 ? '' : ` (${said.join(', ')})`
}

const objectText = (schema: Schema, indent: string): string => {
  const properties = isSchema(schema['properties']) ? Object.entries(schema['properties']) : []
  if (properties.length === 0) return '{}'
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  const inner = `${indent}  `
  const lines = properties.map(([name, property]) => {
    const optional = required.includes(name) ? '' : '?'
    return `${inner}"${name}"${optional}: ${isSchema(property) ? textOf(property, inner) : 'any'}`
  })
  return `{\n${lines.join(',\n')}\n${indent}}`
}

const literals = (values: unknown): string[] =>
  Array.isArray(values) ? values.map((value) => JSON.stringify(value)) : []

function textOf(schema: Schema, indent: string): string {
  const { $ref, type, enum: allowed, const: only, items } = schema
  if (typeof $ref === 'string') return $ref.split('/').at(-1) ?? ''
  const variants = [...schemasIn(schema['anyOf']), ...schemasIn(schema['oneOf'])]
  if (variants.length > 0) return variants.map((variant) => textOf(variant, indent)).join(' | ')
  if (allowed !== undefined) return literals(allowed).join(' | ')
  if (only !== undefined) return JSON.stringify(only)
  const types = Array.isArray(type) ? type.map(String) : [typeof type === 'string' ? type : 'any']
  return types
    .map((name) => {
      if (name === 'object') return objectText(schema, indent)
      if (name === 'array') return `[${isSchema(items) ? textOf(items, indent) : 'any'}, …]${limits(schema)}`
      return name === 'null' ? name : `${name}${limits(schema)}`
    })
    .join(' | ')
}

/** A schema as JSON with types in place of values. `?` marks optional fields. */
export const shapeText = (schema: Schema): string => textOf(schema, '')
