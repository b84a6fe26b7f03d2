import Glibc

/// What went wrong in the machinery of a test, as opposed to what the test is about.
public enum TestServerError: Error, CustomStringConvertible {
  /// A system call failed with this errno.
  case system(String, Int32)
  /// A bound was passed while waiting for this.
  case timeout(String)
  /// A server or a command did not come up; the text holds its log.
  case launch(String)
  /// The peer closed the connection.
  case closed
  /// The peer sent bytes that are not RESP.
  case malformed(String)

  public var description: String {
    switch self {
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    case .timeout(let what): "waited in vain for \(what)"
    case .launch(let what): what
    case .closed: "the peer closed the connection"
    case .malformed(let what): "not RESP: \(what)"
    }
  }
}
