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
