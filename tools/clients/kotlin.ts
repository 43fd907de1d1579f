import type { Field, Model, NamedType, ObjectType, Operation, Parameter, TextType, TypeReference } from './model.ts'

/** Words that Kotlin takes for itself. */
const reserved = new Set(['interface', 'in', 'is', 'object', 'when', 'val', 'var', 'fun', 'class', 'package', 'return'])
const nameOf = (name: string): string => (reserved.has(name) ? `\`${name}\`` : name)

const primitives = { string: 'String', boolean: 'Boolean', number: 'Double', integer: 'Double' } as const

const typeName = (type: TypeReference): string => {
  if (type.kind === 'named') return type.name
  return type.kind === 'list' ? `List<${typeName(type.of)}>` : primitives[type.kind]
}

const constantName = (value: string): string => value.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()

const textType = ({ name, values }: TextType): string => `
/** Known values: ${values.join(', ')}. Later versions of the service may know more. */
data class ${name}(val value: String) {
    companion object {
${values.map((value) => `        val ${constantName(value)} = ${name}("${value}")`).join('\n')}
    }
}
`

const isOpen = ({ optional, nullable }: Field): boolean => optional || nullable

const property = (field: Field): string => {
  const known = field.values.length > 0 ? `    /** Known values: ${field.values.join(', ')}. */\n` : ''
  const type = `${typeName(field.type)}${isOpen(field) ? '?' : ''}`
  return `${known}    val ${nameOf(field.name)}: ${type}${field.optional ? ' = null' : ''}`
}

type Texts = ReadonlySet<string>

/** How a value is written, as an expression of its own name. */
const written = (type: TypeReference, value: string, texts: Texts): string => {
  if (type.kind === 'named') return texts.has(type.name) ? `${value}.value` : `${value}.toJson()`
  if (type.kind !== 'list' || type.of.kind !== 'named') return value
  return `${value}.map { ${written(type.of, 'it', texts)} }`
}

const writing = (field: Field, texts: Texts): string => {
  const name = nameOf(field.name)
  if (!isOpen(field)) return `        fields["${field.name}"] = ${written(field.type, name, texts)}`
  const value = written(field.type, 'it', texts)
  if (field.optional) return `        ${name}?.let { fields["${field.name}"] = ${value} }`
  return `        fields["${field.name}"] = ${value === 'it' ? name : `${name}?.let { ${value} }`}`
}

const accessors = { string: 'text', boolean: 'boolean', number: 'number', integer: 'number' } as const

/** How a value is read from what JSON holds. */
const read = (type: TypeReference, value: string, texts: Texts): string => {
  if (type.kind === 'named') {
    return texts.has(type.name) ? `${type.name}(${value} as String)` : `${type.name}.fromJson(${value})`
  }
  if (type.kind === 'list') return `(${value} as List<*>).map { ${read(type.of, 'it', texts)} }`
  return `${value} as ${primitives[type.kind]}`
}

const reading = (field: Field, texts: Texts): string => {
  const { name, type } = field
  if (type.kind !== 'named' && type.kind !== 'list') {
    return `fields.${accessors[type.kind]}${isOpen(field) ? 'OrNull' : ''}("${name}")`
  }
  if (isOpen(field)) return `fields.any("${name}")?.let { ${read(type, 'it', texts)} }`
  return type.kind === 'list'
    ? `fields.list("${name}").map { ${read(type.of, 'it', texts)} }`
    : read(type, `fields.any("${name}")`, texts)
}

const toJson = (fields: readonly Field[], texts: Texts): string => `
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
${fields.map((field) => writing(field, texts)).join('\n')}
        return fields
    }
`

const fromJson = ({ name, fields }: ObjectType, texts: Texts): string => `
    internal companion object {
        fun fromJson(value: Any?): ${name} {
            val fields = Fields(value)
            return ${name}(
${fields.map((field) => `                ${nameOf(field.name)} = ${reading(field, texts)}`).join(',\n')}
            )
        }
    }
`

/** No data class: its toString would print secrets into logs. */
const objectType = (type: ObjectType, { sent, answered }: Model, texts: Texts): string => `
class ${type.name}(
${type.fields.map(property).join(',\n')}
) {${sent.has(type.name) ? toJson(type.fields, texts) : ''}${answered.has(type.name) ? fromJson(type, texts) : ''}}
`

const declaration = (type: NamedType, model: Model, texts: Texts): string =>
  type.kind === 'text' ? textType(type) : objectType(type, model, texts)

const parameter = ({ name, in: place }: Parameter): string =>
  place === 'path' ? `${name}: String` : `${name}: String? = null`

const pathOf = ({ path, parameters }: Operation): string => {
  const filled = path.replace(/\{(\w+)\}/g, '${encoded($1)}')
  const query = parameters.filter((each) => each.in === 'query').map(({ name }) => `"${name}" to ${name}`)
  return query.length === 0 ? `"${filled}"` : `"${filled}" + query(${query.join(', ')})`
}

const call = (operation: Operation): string => {
  const { name, summary, method, needsBearer, parameters, body, answer } = operation
  const inputs = [
    ...(needsBearer ? ['bearer: String'] : []),
    ...parameters.filter((each) => each.in === 'path').map(parameter),
    ...(body === null ? [] : [`body: ${body}`]),
    ...parameters.filter((each) => each.in === 'query').map(parameter),
  ]
  const sent = `send("${method}", ${pathOf(operation)}, ${needsBearer ? 'bearer' : 'null'}, ${body === null ? 'null' : 'body.toJson()'})`
  const head = `    fun ${name}(${inputs.join(', ')})`
  const documented = `    /** ${summary}. */\n`
  return answer === null
    ? `${documented}${head} {\n        ${sent}\n    }\n`
    : `${documented}${head}: ${answer} =\n        answer(${sent}) { ${answer}.fromJson(it) }\n`
}

const client = (operations: readonly Operation[]): string => `
/**
 * The calls of a device, one method each, made from the service's OpenAPI document. They block, and throw
 * CertbookException. \`bearer\` is the device secret for the calls of a registration, and the device's credential for
 * all others. Nothing here judges a certificate: see docs/mail-app.md.
 */
class CertbookCalls(baseUrl: String, private val transport: HttpTransport = UrlConnectionTransport()) {
    private val base = baseUrl.trimEnd('/')

    init {
        val isLocal = Regex("http://(127\\\\.0\\\\.0\\\\.1|localhost|\\\\[::1])(:\\\\d+)?(/.*)?").matches(base)
        require(base.startsWith("https://") || isLocal) { "Give the https: address of the service." }
    }

${operations.map(call).join('\n')}
    private fun send(method: String, path: String, bearer: String?, body: Map<String, Any?>?): Any? {
        val headers = LinkedHashMap<String, String>()
        headers["Accept"] = "application/json"
        if (bearer != null) headers["Authorization"] = "Bearer " + bearer
        if (body != null) headers["Content-Type"] = "application/json"
        val answer = try {
            transport.send(method, base + path, headers, body?.let { Json.write(it) })
        } catch (cause: IOException) {
            throw CertbookException("network_failed", "The service could not be reached.", null, null, cause)
        }
        if (answer.status in 200..299) return if (answer.text == "") null else answer(answer.text) { Json.parse(it) }
        throw refusal(answer)
    }

    private fun refusal(answer: HttpAnswer): CertbookException {
        val retryAfter = answer.retryAfter?.toLongOrNull()
        return try {
            val problem = Fields(Json.parse(answer.text))
            CertbookException(problem.text("code"), problem.text("detail"), answer.status, retryAfter, null)
        } catch (cause: RuntimeException) {
            CertbookException("refusal_unknown", "The answer has no reason.", answer.status, retryAfter, cause)
        }
    }

    private fun <From, To> answer(value: From, read: (From) -> To): To = try {
        read(value)
    } catch (cause: RuntimeException) {
        throw CertbookException("answer_malformed", "The answer is none of this service.", null, null, cause)
    }

    private fun encoded(text: String): String = URLEncoder.encode(text, "UTF-8").replace("+", "%20")

    private fun query(vararg parameters: Pair<String, String?>): String {
        val given = parameters.mapNotNull { (name, value) -> value?.let { name + "=" + encoded(it) } }
        return if (given.isEmpty()) "" else given.joinToString("&", "?")
    }
}
`

/** The calls and types as one Kotlin file. */
export function kotlinFile(model: Model, prelude: string): string {
  const { types, operations } = model
  const texts = new Set(types.filter(({ kind }) => kind === 'text').map(({ name }) => name))
  const head = '// Made by `npm run docs` from the OpenAPI document; do not edit.\npackage certbook\n\n'
  const declarations = types.map((type) => declaration(type, model, texts))
  return [head, prelude.trimEnd(), '\n', ...declarations, client(operations)].join('')
}
