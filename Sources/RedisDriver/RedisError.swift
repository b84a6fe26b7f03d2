/// What went wrong with a connection or a command.
///
/// The description names the server and the cause. It never carries a password, an argument or a stored value.
public struct RedisError: Error, Sendable, Equatable {
  /// The kind of failure. More may be added: compare with the constants and keep a branch for the rest.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    public let description: String
    private init(_ description: String) { self.description = description }

    /// The URL does not have a form that ``RedisURL`` knows.
    public static let invalidURL = Code("invalidURL")
    /// The command can't be sent on a shared, pipelined connection (`SUBSCRIBE`, `MULTI` and their like), or is empty.
    public static let invalidCommand = Code("invalidCommand")
    /// No connection could be made; thrown by ``RedisClient/connect()`` and by calls that don't want to wait for one.
    public static let cannotConnect = Code("cannotConnect")
    /// The server refused the user, the password or the database index. Waiting does not help.
    public static let refused = Code("refused")
    /// The command did not reach the server before its deadline, and has not run.
    public static let notSent = Code("notSent")
    /// The connection was lost between the command and its reply. Whether the command has run is unknown.
    public static let replyLost = Code("replyLost")
    /// The server kept silent for longer than the command's time-out. Whether the command has run is unknown.
    public static let timedOut = Code("timedOut")
    /// The task was cancelled. ``RedisError/outcomeIsUnknown`` tells whether the command may have run.
    public static let cancelled = Code("cancelled")
    /// The server answered with an error reply; ``RedisError/serverErrorPrefix`` is its first word.
    public static let serverError = Code("serverError")
    /// The nodes of a cluster kept sending the command from one to another. It has not run.
    public static let redirectedTooOften = Code("redirectedTooOften")
    /// The server sent bytes that are not RESP, or a reply that nobody had asked for. The connection was given up.
    public static let protocolViolation = Code("protocolViolation")
    /// The reply is sound RESP, but not of the type that the caller decodes. The command has run.
    public static let unexpectedReply = Code("unexpectedReply")
    /// The client was closed.
    public static let closed = Code("closed")
    /// The operating system refused a thread or a descriptor.
    public static let systemFailure = Code("systemFailure")
  }

  public let code: Code
  /// The cause, in words.
  public let message: String
  /// `host:port` or the socket's path; nil where no server is concerned.
  public internal(set) var server: String?
  /// How many sendings of the command had no reply. If not 0, the command may have run, whatever `code` says.
  public internal(set) var lostSendings: Int

  public init(_ code: Code, _ message: String, server: String? = nil, lostSendings: Int = 0) {
    self.code = code
    self.message = message
    self.server = server
    self.lostSendings = lostSendings
  }

  /// True if the command may have run without the caller having learnt its outcome.
  public var outcomeIsUnknown: Bool {
    lostSendings > 0 || code == .unexpectedReply || code == .protocolViolation
  }

  /// The first word of an error reply, such as `WRONGPASS`, `READONLY`, `NOBUCKET` or `ERR`; nil for other errors.
  public var serverErrorPrefix: String? {
    guard code == .serverError || code == .refused else { return nil }
    return String(message.prefix { $0 != " " })
  }

  /// Whether the server, or a cluster of which a part is missing, can't be asked at the moment, whatever it is.
  package var isSilence: Bool {
    switch code {
    case .cannotConnect, .notSent, .replyLost, .timedOut: true
    default: serverErrorPrefix == "CLUSTERDOWN"
    }
  }
}

extension RedisError: CustomStringConvertible {
  public var description: String {
    var text = "Redis"
    if let server { text += " at \(server)" }
    text += ": \(message)"
    if lostSendings > 0 { text += " (the outcome is unknown: \(lostSendings) sent without a reply)" }
    return text
  }
}
