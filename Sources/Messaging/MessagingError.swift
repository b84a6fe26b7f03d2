/// A fault in talking to a broker.
public struct MessagingError: Error, Hashable, Sendable, CustomStringConvertible {
  /// An extensible set of causes.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }

    /// The broker can't be reached, or not in time; nothing was stored.
    public static let unavailable = Code("unavailable")
    /// The request was sent and its answer was lost: it may have been carried out.
    public static let replyLost = Code("reply-lost")
    public static let notAuthorized = Code("not-authorized")
    /// The broker has no room (memory, disk).
    public static let full = Code("full")
    public static let tooLarge = Code("too-large")
    /// The broker answered an error of another kind.
    public static let refused = Code("refused")
    public static let protocolViolation = Code("protocol-violation")
  }

  public var code: Code
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }

  /// Whether the same call may succeed later without anyone changing anything by hand.
  public var isTransient: Bool { code == .unavailable || code == .replyLost || code == .full }
}
