// Made by `npm run docs` from the OpenAPI document; do not edit.
import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A refusal of the service, with the stable `code` of its problem document (RFC 9457): branch on it. Without an
/// answer the code is `network_failed`, and an answer that is none of certbook's is `answer_malformed`; `status` is
/// then nil.
public struct CertbookError: Error {
  public let code: String
  public let detail: String
  public let status: Int?
  public let retryAfterSeconds: Int?
}

private struct Problem: Decodable {
  let code: String
  let detail: String
}

/// Refuses redirects: one would carry the question elsewhere.
private final class NoRedirects: NSObject, URLSessionTaskDelegate {
  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
  ) {
    completionHandler(nil)
  }
}

public struct PolicyAnswer: Decodable {
  public let version: String
  public let effectiveAt: String
  public let terms: PolicyAnswerTerms
  public let consents: PolicyAnswerConsents
  public let next: String?
}

public struct PolicyAnswerTerms: Decodable {
  public let language: String
  public let url: String
  public let sha256: String
}

public struct PolicyAnswerConsents: Decodable {
  public let publication: PolicyAnswerConsentsPublication
  public let crashReports: PolicyAnswerConsentsCrashReports
}

public struct PolicyAnswerConsentsPublication: Decodable {
  public let version: String
  public let text: String
  public let sha256: String
}

public struct PolicyAnswerConsentsCrashReports: Decodable {
  public let version: String
  public let text: String
  public let sha256: String
}

public struct ListOwnLookupsAnswer: Decodable {
  public let items: [OwnLookup]
  public let next: String?
}

public struct OwnLookup: Decodable {
  public let at: String
  public let address: String
  /// Known values: found, not_found.
  public let status: String
  /// Known values: http.
  public let interface: String
  public let deviceId: String?
}

public struct RegistrationRequest: Encodable {
  public let email: String
  public let accountType: AccountType
  public let policyVersion: String
  public let device: DeviceFacts

  public init(email: String, accountType: AccountType, policyVersion: String, device: DeviceFacts) {
    self.email = email
    self.accountType = accountType
    self.policyVersion = policyVersion
    self.device = device
  }
}

/// Known values: imap, exchange. Later versions of the service may know more.
public struct AccountType: RawRepresentable, Codable, Hashable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public static let imap = AccountType(rawValue: "imap")
  public static let exchange = AccountType(rawValue: "exchange")
}

public struct DeviceFacts: Encodable {
  public let appVersion: String
  public let deviceType: String
  public let osVersion: String
  public let language: String
  public let serialNumber: String?

  public init(appVersion: String, deviceType: String, osVersion: String, language: String, serialNumber: String?) {
    self.appVersion = appVersion
    self.deviceType = deviceType
    self.osVersion = osVersion
    self.language = language
    self.serialNumber = serialNumber
  }

  public func encode(to encoder: Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(appVersion, forKey: .appVersion)
    try container.encode(deviceType, forKey: .deviceType)
    try container.encode(osVersion, forKey: .osVersion)
    try container.encode(language, forKey: .language)
    try container.encode(serialNumber, forKey: .serialNumber)
  }

  private enum CodingKeys: String, CodingKey {
    case appVersion, deviceType, osVersion, language, serialNumber
  }
}

public struct RegistrationAnswer: Decodable {
  public let id: String
  public let deviceSecret: String
  public let userCode: String
  public let expiresAt: String
}

public struct ConfirmationRequest: Encodable {
  public let token: String

  public init(token: String) {
    self.token = token
  }
}

public struct ConfirmationAnswer: Decodable {
  /// Known values: confirmed.
  public let state: String
}

public struct RegistrationState: Decodable {
  /// Known values: pending, confirmed, ended.
  public let state: String
}

public struct CredentialRequest: Encodable {
  public let waitForApproval: Bool?

  public init(waitForApproval: Bool? = nil) {
    self.waitForApproval = waitForApproval
  }
}

public struct CredentialAnswer: Decodable {
  public let subscriberId: String
  public let deviceId: String
  public let mailbox: String
  public let credential: String
}

public struct SubscriberAnswer: Decodable {
  public let subscriberId: String
  public let deviceId: String
  public let language: String
  public let createdAt: String
  public let restricted: Bool
  public let mailboxes: [OwnMailbox]
}

public struct OwnMailbox: Decodable {
  public let id: String
  public let address: String
  public let accountType: AccountType
  /// Known values: active, moved.
  public let state: String
  public let verifiedAt: String
  public let createdAt: String
}

public struct SubscriberChange: Encodable {
  public let language: String

  public init(language: String) {
    self.language = language
  }
}

public struct ListDevicesAnswer: Decodable {
  public let items: [OwnDevice]
  public let next: String?
}

public struct OwnDevice: Decodable {
  public let id: String
  /// Known values: active, awaiting_approval.
  public let state: String
  public let current: Bool
  public let appVersion: String
  public let deviceType: String
  public let osVersion: String
  public let language: String
  public let createdAt: String
  public let lastSeenAt: String?
}

public struct RotatedCredential: Decodable {
  public let credential: String
}

public struct MailboxRequest: Encodable {
  public let email: String
  public let accountType: AccountType

  public init(email: String, accountType: AccountType) {
    self.email = email
    self.accountType = accountType
  }
}

public struct MailboxChallengeAnswer: Decodable {
  public let id: String
  public let challenge: String
  /// Known values: pending.
  public let state: String
  public let expiresAt: String
}

public struct MailboxProofRequest: Encodable {
  public let token: String?
  public let act: GuardedAct?

  public init(token: String? = nil, act: GuardedAct? = nil) {
    self.token = token
    self.act = act
  }
}

/// Known values: mailbox_add, mailbox_end, device_approve, device_end. Later versions of the service may know more.
public struct GuardedAct: RawRepresentable, Codable, Hashable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public static let mailbox_add = GuardedAct(rawValue: "mailbox_add")
  public static let mailbox_end = GuardedAct(rawValue: "mailbox_end")
  public static let device_approve = GuardedAct(rawValue: "device_approve")
  public static let device_end = GuardedAct(rawValue: "device_end")
}

public struct ProveMailboxAnswer: Decodable {
  public let id: String
  public let address: String?
  public let accountType: AccountType?
  /// Known values: active, moved, pending.
  public let state: String
  public let verifiedAt: String?
  public let createdAt: String?
  public let challenge: String?
  public let expiresAt: String?
}

public struct ListCertificatesAnswer: Decodable {
  public let items: [OwnCertificate]
  public let next: String?
}

public struct OwnCertificate: Decodable {
  public let id: String
  public let mailbox: String
  public let use: CertificateUse
  /// Known values: valid, superseded, revoked, expired.
  public let state: String
  public let serialNumber: String
  public let fingerprintSha256: String
  public let issuer: String
  public let notBefore: String
  public let notAfter: String
  public let certificate: String
  public let chain: [String]
  public let published: Bool
}

/// Known values: sign, encrypt, dual. Later versions of the service may know more.
public struct CertificateUse: RawRepresentable, Codable, Hashable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public static let sign = CertificateUse(rawValue: "sign")
  public static let encrypt = CertificateUse(rawValue: "encrypt")
  public static let dual = CertificateUse(rawValue: "dual")
}

public struct RevocationRequest: Encodable {
  public let reason: RevocationReason

  public init(reason: RevocationReason) {
    self.reason = reason
  }
}

/// Known values: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn. Later versions of the service may know more.
public struct RevocationReason: RawRepresentable, Codable, Hashable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public static let unspecified = RevocationReason(rawValue: "unspecified")
  public static let keyCompromise = RevocationReason(rawValue: "keyCompromise")
  public static let affiliationChanged = RevocationReason(rawValue: "affiliationChanged")
  public static let superseded = RevocationReason(rawValue: "superseded")
  public static let cessationOfOperation = RevocationReason(rawValue: "cessationOfOperation")
  public static let privilegeWithdrawn = RevocationReason(rawValue: "privilegeWithdrawn")
}

public struct KeyCompromiseRequest: Encodable {
  public let publicKey: String?
  public let privateKey: String?

  public init(publicKey: String? = nil, privateKey: String? = nil) {
    self.publicKey = publicKey
    self.privateKey = privateKey
  }
}

public struct ReportKeyAnswer: Decodable {
  /// Known values: blocked.
  public let state: String?
  public let id: String?
  public let challenge: ReportKeyAnswerChallenge?
  public let expiresAt: String?
}

public struct ReportKeyAnswerChallenge: Decodable {
  /// Known values: sign, decrypt.
  public let kind: String
  public let toBeSigned: String?
  public let envelopedData: String?
}

public struct ProofRequest: Encodable {
  public let proof: String

  public init(proof: String) {
    self.proof = proof
  }
}

public struct KeyBlockedAnswer: Decodable {
  /// Known values: blocked.
  public let state: String
}

public struct ListCertificateRequestsAnswer: Decodable {
  public let items: [CertificateRequestAnswer]
  public let next: String?
}

public struct CertificateRequestAnswer: Decodable {
  public let id: String
  /// Known values: received, awaiting_mailbox_proof, awaiting_approval, pending, issued, rejected, failed, cancelled.
  public let state: String
  public let mailbox: String
  public let use: CertificateUse
  public let reason: String?
  public let explanation: String?
  public let forwarded: CertificateRequestAnswerForwarded?
  public let waitingFor: CertificateRequestAnswerWaitingFor?
  public let mailboxChallenge: MailboxChallengeAnswer?
  public let certificate: OwnCertificate?
}

public struct CertificateRequestAnswerForwarded: Decodable {
  public let to: String
  public let at: String
}

public struct CertificateRequestAnswerWaitingFor: Decodable {
  /// Known values: ca_mailbox_challenge, ca_available.
  public let kind: String
  public let sender: String?
  public let whatToDo: String
}

public struct CertificateRequest: Encodable {
  public let csr: String
  public let use: CertificateUse
  public let mailbox: String?

  public init(csr: String, use: CertificateUse, mailbox: String? = nil) {
    self.csr = csr
    self.use = use
    self.mailbox = mailbox
  }
}

public struct PublicKeyRequest: Encodable {
  public let publicKey: String
  public let use: CertificateUse
  public let mailbox: String?

  public init(publicKey: String, use: CertificateUse, mailbox: String? = nil) {
    self.publicKey = publicKey
    self.use = use
    self.mailbox = mailbox
  }
}

public struct KeyChallengeAnswer: Decodable {
  public let id: String
  public let challenge: KeyChallengeAnswerChallenge
  public let expiresAt: String
}

public struct KeyChallengeAnswerChallenge: Decodable {
  /// Known values: sign, decrypt.
  public let kind: String
  public let toBeSigned: String?
  public let envelopedData: String?
}

public struct PublicationRequest: Encodable {
  public let consentVersion: String
  public let audience: Audience

  public init(consentVersion: String, audience: Audience) {
    self.consentVersion = consentVersion
    self.audience = audience
  }
}

/// Known values: members, public. Later versions of the service may know more.
public struct Audience: RawRepresentable, Codable, Hashable {
  public let rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public static let members = Audience(rawValue: "members")
  public static let `public` = Audience(rawValue: "public")
}

public struct LookupRequest: Encodable {
  public let addresses: [String]
  /// Known values: sign, encrypt.
  public let use: String

  public init(addresses: [String], use: String) {
    self.addresses = addresses
    self.use = use
  }
}

public struct LookupAnswer: Decodable {
  public let results: [LookupAnswerResult]
}

public struct LookupAnswerResult: Decodable {
  public let address: String
  /// Known values: found, not_found, invalid.
  public let status: String
  public let certificates: [DirectoryCertificate]
}

public struct DirectoryCertificate: Decodable {
  public let id: String
  public let mailbox: String
  public let use: CertificateUse
  /// Known values: valid, superseded, revoked, expired.
  public let state: String
  public let serialNumber: String
  public let fingerprintSha256: String
  public let issuer: String
  public let notBefore: String
  public let notAfter: String
  public let certificate: String
  public let chain: [String]
}

public struct CheckInAnswer: Decodable {
  public let nextInSeconds: Double
  public let renew: [String]
  public let renewNow: [String]
}

public struct AuthoritiesAnswer: Decodable {
  public let items: [AuthoritiesAnswerItem]
}

public struct AuthoritiesAnswerItem: Decodable {
  public let id: String
  /// Known values: root, issuing.
  public let role: String
  public let subject: String
  public let serialNumber: String
  public let fingerprintSha256: String
  public let notBefore: String
  public let notAfter: String
  public let certificate: String
}

/// The calls of a device, one method each, made from the service's OpenAPI document. They throw CertbookError, and
/// CancellationError as URLSession does. `bearer` is the device secret for the calls of a registration, and the
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

  /// The policy in force, with the texts to show.
  public func getPolicy() async throws -> PolicyAnswer {
    try decoded(try await send("GET", "/v1/policy", bearer: nil, body: nil))
  }

  /// Your own lookups, newest first.
  public func listOwnLookups(bearer: String, limit: String? = nil, cursor: String? = nil) async throws -> ListOwnLookupsAnswer {
    try decoded(try await send("GET", "/v1/me/lookups" + query([("limit", limit), ("cursor", cursor)]), bearer: bearer, body: nil))
  }

  /// Register a mailbox and this device.
  public func startRegistration(body: RegistrationRequest) async throws -> RegistrationAnswer {
    try decoded(try await send("POST", "/v1/registrations", bearer: nil, body: try encoder.encode(body)))
  }

  /// Prove the mailbox with the mailed token.
  public func confirmRegistration(bearer: String, id: String, body: ConfirmationRequest) async throws -> ConfirmationAnswer {
    try decoded(try await send("POST", "/v1/registrations/\(encoded(id))/confirmation", bearer: bearer, body: try encoder.encode(body)))
  }

  /// How far the registration is.
  public func getRegistration(bearer: String, id: String) async throws -> RegistrationState {
    try decoded(try await send("GET", "/v1/registrations/\(encoded(id))", bearer: bearer, body: nil))
  }

  /// Get the credential of this device, shown once.
  public func mintCredential(bearer: String, id: String, body: CredentialRequest) async throws -> CredentialAnswer {
    try decoded(try await send("POST", "/v1/registrations/\(encoded(id))/credential", bearer: bearer, body: try encoder.encode(body)))
  }

  /// What is held about you as a subscriber.
  public func getSubscriber(bearer: String) async throws -> SubscriberAnswer {
    try decoded(try await send("GET", "/v1/me", bearer: bearer, body: nil))
  }

  /// Change the language of your notices.
  public func changeSubscriber(bearer: String, body: SubscriberChange) async throws -> SubscriberAnswer {
    try decoded(try await send("PATCH", "/v1/me", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Your devices, newest first; devices that wait for approval come first.
  public func listDevices(bearer: String, limit: String? = nil, cursor: String? = nil) async throws -> ListDevicesAnswer {
    try decoded(try await send("GET", "/v1/me/devices" + query([("limit", limit), ("cursor", cursor)]), bearer: bearer, body: nil))
  }

  /// Approve a device that waits for it.
  public func approveDevice(bearer: String, id: String) async throws -> OwnDevice {
    try decoded(try await send("POST", "/v1/me/devices/\(encoded(id))/approval", bearer: bearer, body: nil))
  }

  /// End a device, its credential and its certificates, or refuse a device that waits for approval.
  public func removeDevice(bearer: String, id: String) async throws {
    _ = try await send("DELETE", "/v1/me/devices/\(encoded(id))", bearer: bearer, body: nil)
  }

  /// A new credential for this device; the old one works until the new one is used.
  public func rotateCredential(bearer: String) async throws -> RotatedCredential {
    try decoded(try await send("POST", "/v1/me/credential", bearer: bearer, body: nil))
  }

  /// Add a mailbox: a token is mailed to it.
  public func addMailbox(bearer: String, body: MailboxRequest) async throws -> MailboxChallengeAnswer {
    try decoded(try await send("POST", "/v1/me/mailboxes", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Have a token mailed to a mailbox or, with the token, prove that it is yours.
  public func proveMailbox(bearer: String, id: String, body: MailboxProofRequest) async throws -> ProveMailboxAnswer {
    try decoded(try await send("POST", "/v1/me/mailboxes/\(encoded(id))/proof", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Remove a mailbox; its certificates leave the directory at once and are revoked.
  public func removeMailbox(bearer: String, id: String) async throws {
    _ = try await send("DELETE", "/v1/me/mailboxes/\(encoded(id))", bearer: bearer, body: nil)
  }

  /// Your certificates, newest first.
  public func listCertificates(bearer: String, limit: String? = nil, cursor: String? = nil) async throws -> ListCertificatesAnswer {
    try decoded(try await send("GET", "/v1/certificates" + query([("limit", limit), ("cursor", cursor)]), bearer: bearer, body: nil))
  }

  /// One of your certificates.
  public func getCertificate(bearer: String, id: String) async throws -> OwnCertificate {
    try decoded(try await send("GET", "/v1/certificates/\(encoded(id))", bearer: bearer, body: nil))
  }

  /// Revoke one of your certificates, for good.
  public func revokeCertificate(bearer: String, id: String, body: RevocationRequest) async throws -> OwnCertificate {
    try decoded(try await send("POST", "/v1/certificates/\(encoded(id))/revocation", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Report a compromised key: by a proof that you hold it, or by sending it.
  public func reportKey(body: KeyCompromiseRequest) async throws -> ReportKeyAnswer {
    try decoded(try await send("POST", "/v1/key-compromise", bearer: nil, body: try encoder.encode(body)))
  }

  /// Answer the challenge: the key is blocked, its certificates are revoked.
  public func proveReportedKey(id: String, body: ProofRequest) async throws -> KeyBlockedAnswer {
    try decoded(try await send("POST", "/v1/key-compromise/\(encoded(id))/proof", bearer: nil, body: try encoder.encode(body)))
  }

  /// Your certificate requests, newest first.
  public func listCertificateRequests(bearer: String, limit: String? = nil, cursor: String? = nil) async throws -> ListCertificateRequestsAnswer {
    try decoded(try await send("GET", "/v1/certificate-requests" + query([("limit", limit), ("cursor", cursor)]), bearer: bearer, body: nil))
  }

  /// Have a key certified by its CSR.
  public func requestCertificate(bearer: String, body: CertificateRequest) async throws -> CertificateRequestAnswer {
    try decoded(try await send("POST", "/v1/certificate-requests", bearer: bearer, body: try encoder.encode(body)))
  }

  /// One certificate request.
  public func getCertificateRequest(bearer: String, id: String) async throws -> CertificateRequestAnswer {
    try decoded(try await send("GET", "/v1/certificate-requests/\(encoded(id))", bearer: bearer, body: nil))
  }

  /// Cancel a certificate request; if the CA still issues a certificate for it, that is revoked.
  public func cancelCertificateRequest(bearer: String, id: String) async throws {
    _ = try await send("DELETE", "/v1/certificate-requests/\(encoded(id))", bearer: bearer, body: nil)
  }

  /// Have a bare public key certified: get a challenge that only its holder can answer.
  public func submitPublicKey(bearer: String, body: PublicKeyRequest) async throws -> KeyChallengeAnswer {
    try decoded(try await send("POST", "/v1/public-keys", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Answer the challenge, and have the key certified.
  public func provePublicKey(bearer: String, id: String, body: ProofRequest) async throws -> CertificateRequestAnswer {
    try decoded(try await send("POST", "/v1/public-keys/\(encoded(id))/proof", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Let others find a certificate.
  public func publishCertificate(bearer: String, id: String, body: PublicationRequest) async throws -> OwnCertificate {
    try decoded(try await send("PUT", "/v1/certificates/\(encoded(id))/publication", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Take a certificate out of the directory.
  public func withdrawCertificate(bearer: String, id: String) async throws {
    _ = try await send("DELETE", "/v1/certificates/\(encoded(id))/publication", bearer: bearer, body: nil)
  }

  /// The certificates of exact addresses; each address asked for is logged.
  public func lookUp(bearer: String, body: LookupRequest) async throws -> LookupAnswer {
    try decoded(try await send("POST", "/v1/lookups", bearer: bearer, body: try encoder.encode(body)))
  }

  /// Report this device at its start and every five minutes.
  public func checkIn(bearer: String, body: DeviceFacts) async throws -> CheckInAnswer {
    try decoded(try await send("POST", "/v1/check-ins", bearer: bearer, body: try encoder.encode(body)))
  }

  /// The certificates of the CA that issues here, root first: compare its fingerprint before you trust it.
  public func listAuthorities() async throws -> AuthoritiesAnswer {
    try decoded(try await send("GET", "/v1/authorities", bearer: nil, body: nil))
  }

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
