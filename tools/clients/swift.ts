import type { Field, Model, NamedType, ObjectType, Operation, Parameter, TextType, TypeReference } from './model.ts'

/** Words that Swift takes for itself. */
const reserved = new Set([
  'protocol',
  'in',
  'is',
  'case',
  'public',
  'default',
  'operator',
  'self',
  'func',
  'let',
  'var',
])
const nameOf = (name: string): string => (reserved.has(name) ? `\`${name}\`` : name)

const primitives = { string: 'String', boolean: 'Bool', number: 'Double', integer: 'Int' } as const

const typeName = (type: TypeReference): string => {
  if (type.kind === 'named') return type.name
  return type.kind === 'list' ? `[${typeName(type.of)}]` : primitives[type.kind]
}

const textType = ({ name, values }: TextType): string => `
/// Known values: ${values.join(', ')}. Later versions of the service may know more.
public struct ${name}: RawRepresentable, Codable, Hashable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
${values.map((value) => `  public static let ${nameOf(value)} = ${name}(rawValue: "${value}")`).join('\n')}
}
`

const fieldType = ({ type, optional, nullable }: Field): string => `${typeName(type)}${optional || nullable ? '?' : ''}`

const property = (field: Field): string => {
  const known = field.values.length > 0 ? `  /// Known values: ${field.values.join(', ')}.\n` : ''
  return `${known}  public let ${nameOf(field.name)}: ${fieldType(field)}`
}

/** What is required and may be null is written as null; a synthesised encoder would leave it out. */
const encoder = (fields: readonly Field[]): string => `
  public func encode(to encoder: Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
${fields
  .map(
    ({ name, optional }) =>
      `    try container.encode${optional ? 'IfPresent' : ''}(${nameOf(name)}, forKey: .${nameOf(name)})`,
  )
  .join('\n')}
  }

  private enum CodingKeys: String, CodingKey {
    case ${fields.map(({ name }) => nameOf(name)).join(', ')}
  }
`

const initialiser = (fields: readonly Field[]): string => {
  const inputs = fields.map((field) => `${nameOf(field.name)}: ${fieldType(field)}${field.optional ? ' = nil' : ''}`)
  return `
  public init(${inputs.join(', ')}) {
${fields.map((field) => `    self.${field.name} = ${nameOf(field.name)}`).join('\n')}
  }
`
}

const objectType = ({ name, fields }: ObjectType, { sent, answered }: Model): string => {
  const isSent = sent.has(name)
  const codings = [...(isSent ? ['Encodable'] : []), ...(answered.has(name) ? ['Decodable'] : [])]
  const hasRequiredNull = fields.some(({ optional, nullable }) => nullable && !optional)
  return `
public struct ${name}: ${codings.join(', ')} {
${fields.map(property).join('\n')}
${isSent ? initialiser(fields) : ''}${isSent && hasRequiredNull ? encoder(fields) : ''}}
`
}

const declaration = (type: NamedType, model: Model): string =>
  type.kind === 'text' ? textType(type) : objectType(type, model)

const parameter = ({ name, in: place }: Parameter): string =>
  place === 'path' ? `${name}: String` : `${name}: String? = nil`

const pathOf = ({ path, parameters }: Operation): string => {
  const filled = path.replace(/\{(\w+)\}/g, '\\(encoded($1))')
  const query = parameters.filter((each) => each.in === 'query').map(({ name }) => `("${name}", ${name})`)
  return query.length === 0 ? `"${filled}"` : `"${filled}" + query([${query.join(', ')}])`
}

const call = (operation: Operation): string => {
  const { name, summary, method, needsBearer, parameters, body, answer } = operation
  const inputs = [
    ...(needsBearer ? ['bearer: String'] : []),
    ...parameters.filter((each) => each.in === 'path').map(parameter),
    ...(body === null ? [] : [`body: ${body}`]),
    ...parameters.filter((each) => each.in === 'query').map(parameter),
  ]
  const bearer = needsBearer ? 'bearer' : 'nil'
  const sent = `send("${method}", ${pathOf(operation)}, bearer: ${bearer}, body: ${body === null ? 'nil' : 'try encoder.encode(body)'})`
  const head = `  public func ${name}(${inputs.join(', ')}) async throws`
  return answer === null
    ? `  /// ${summary}.\n${head} {\n    _ = try await ${sent}\n  }\n`
    : `  /// ${summary}.\n${head} -> ${answer} {\n    try decoded(try await ${sent})\n  }\n`
}

const client = (operations: readonly Operation[]): string => `
/// The calls of a device, one method each, made from the service's OpenAPI document. They throw CertbookError, and
/// CancellationError as URLSession does. \`bearer\` is the device secret for the calls of a registration, and the
/// device's credential for all others. Nothing here judges a certificate: see docs/mail-app.md.
public final class CertbookCalls {
  private let base: String
  private let session: URLSession
  private let encoder = JSONEncoder()
  private let decoder = JSONDecoder()

  /// Give the https: address of the service; http: is for one on the same machine alone.
  public init(baseURL: URL, configuration: URLSessionConfiguration = .ephemeral) {
    let isLocal = baseURL.scheme == "http" && ["127.0.0.1", "localhost", "::1"].contains(baseURL.host ?? "")
    precondition(baseURL.scheme == "https" || isLocal, "Give the https: address of the service.")
    var text = baseURL.absoluteString
    while text.hasSuffix("/") { text.removeLast() }
    base = text
    session = URLSession(configuration: configuration, delegate: NoRedirects(), delegateQueue: nil)
  }

  deinit { session.finishTasksAndInvalidate() }

${operations.map(call).join('\n')}
  private func send(_ method: String, _ path: String, bearer: String?, body: Data?) async throws -> Data {
    guard let url = URL(string: base + path) else { throw malformed }
    var request = URLRequest(url: url)
    request.httpMethod = method
    request.httpBody = body
    request.setValue("application/json", forHTTPHeaderField: "Accept")
    if body != nil { request.setValue("application/json", forHTTPHeaderField: "Content-Type") }
    if let bearer = bearer { request.setValue("Bearer " + bearer, forHTTPHeaderField: "Authorization") }
    let data: Data
    let response: URLResponse
    do {
      (data, response) = try await session.data(for: request)
    } catch let error as URLError where error.code != .cancelled {
      throw CertbookError(
        code: "network_failed", detail: "The service could not be reached.", status: nil, retryAfterSeconds: nil)
    }
    guard let answer = response as? HTTPURLResponse else { throw malformed }
    if (200..<300).contains(answer.statusCode) { return data }
    let problem = try? decoder.decode(Problem.self, from: data)
    throw CertbookError(
      code: problem?.code ?? "refusal_unknown",
      detail: problem?.detail ?? "The answer has no reason.",
      status: answer.statusCode,
      retryAfterSeconds: answer.value(forHTTPHeaderField: "Retry-After").flatMap { Int($0) })
  }

  private var malformed: CertbookError {
    CertbookError(
      code: "answer_malformed", detail: "The answer is none of this service.", status: nil, retryAfterSeconds: nil)
  }

  private func decoded<Answer: Decodable>(_ data: Data) throws -> Answer {
    do {
      return try decoder.decode(Answer.self, from: data)
    } catch {
      throw malformed
    }
  }

  /// RFC 3986 section 2.3: the characters that stand for themselves anywhere.
  private func encoded(_ text: String) -> String {
    let unreserved = CharacterSet(
      charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
    return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
  }

  private func query(_ parameters: [(String, String?)]) -> String {
    let given = parameters.compactMap { name, value in value.map { name + "=" + encoded($0) } }
    return given.isEmpty ? "" : "?" + given.joined(separator: "&")
  }
}
`

/** The calls and types as one Swift file. */
export function swiftFile(model: Model, prelude: string): string {
  const head = '// Made by `npm run docs` from the OpenAPI document; do not edit.\n'
  const declarations = model.types.map((type) => declaration(type, model))
  return [head, prelude.trimEnd(), '\n', ...declarations, client(model.operations)].join('')
}
