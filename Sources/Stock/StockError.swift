/// A fault in talking to a bucket. Refusals that a sale produces by the million are outcomes, not errors.
public struct StockError: Error, Hashable, Sendable, CustomStringConvertible {
  /// An extensible set of causes.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }

    /// The server can't be reached, or not in time; nothing was sent, or nothing was done.
    public static let unavailable = Code("unavailable")
    /// The command was sent and its reply was lost: it may have been carried out.
    public static let replyLost = Code("reply-lost")
    public static let noBucket = Code("no-bucket")
    public static let bucketExists = Code("bucket-exists")
    /// The key holds a value of another type.
    public static let wrongType = Code("wrong-type")
    /// The token was first sent with another user or quantity.
    public static let tokenMismatch = Code("token-mismatch")
    public static let epochMismatch = Code("epoch-mismatch")
    public static let logAhead = Code("log-ahead")
    public static let logTrimmed = Code("log-trimmed")
    public static let overflow = Code("overflow")
    /// The server may evict keys without expiry.
    public static let evictable = Code("evictable")
    /// The bucket is frozen, and so takes no new withdrawal, negative restock or rebalancing and knows no such token.
    public static let frozen = Code("frozen")
    /// An operator has frozen the bucket, so only a thaw without epoch ends it.
    public static let frozenByOperator = Code("frozen-by-operator")
    /// The transfer is known with another peer, direction or quantity.
    public static let transferMismatch = Code("transfer-mismatch")
    public static let readOnly = Code("read-only")
    public static let outOfMemory = Code("out-of-memory")
    public static let notAuthorized = Code("not-authorized")
    /// The server has not loaded the module.
    public static let noModule = Code("no-module")
    /// The bucket believes in another number of buckets than its caller.
    public static let bucketsMismatch = Code("buckets-mismatch")
    /// The sale was recorded with another list of servers, on which its buckets lie elsewhere.
    public static let serversMismatch = Code("servers-mismatch")
    /// A command over several buckets that are not on one server, or, in a cluster, not in one slot.
    public static let bucketsApart = Code("buckets-apart")
    /// Whether enough units are left can't be learnt in time: a bucket can't be asked, or units are on their way between
    /// buckets. Nothing was taken, and the same token may be tried again.
    public static let undecided = Code("undecided")
    /// The server answered an error of another kind.
    public static let refused = Code("refused")
    /// The server answered what the protocol does not allow.
    public static let protocolViolation = Code("protocol-violation")
  }

  public var code: Code
  /// What was asked, of which bucket and server, and what the server said. Never a password.
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }

  /// Whether the same call may succeed later without anyone changing anything by hand.
  public var isTransient: Bool { code == .unavailable || code == .replyLost || code == .undecided }
}
