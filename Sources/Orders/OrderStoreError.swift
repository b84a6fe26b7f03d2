/// A fault of the database.
public struct OrderStoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// An extensible set of causes.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }

    /// The database can't be reached, or is busy beyond the bound; nothing was written.
    public static let unavailable = Code("unavailable")
    /// The connection died after the commit was sent. Repeating the call resolves it.
    public static let outcomeUnknown = Code("outcome-unknown")
    public static let readOnly = Code("read-only")
    public static let full = Code("full")
    public static let notAuthorized = Code("not-authorized")
    /// The server has no database of that name.
    public static let unknownDatabase = Code("unknown-database")
    /// The file or schema is another program's.
    public static let notOurs = Code("not-ours")
    /// The schema is of a newer version than this program knows.
    public static let schemaTooNew = Code("schema-too-new")
    public static let corrupt = Code("corrupt")
    /// An order can't be written for its own sake.
    public static let refused = Code("refused")
    public static let unknownProduct = Code("unknown-product")
  }

  public var code: Code
  /// What was asked and what the database said; bound values are hidden, passwords never shown.
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }

  /// Whether the same call may succeed later without anyone changing the order by hand.
  public var isTransient: Bool {
    code == .unavailable || code == .outcomeUnknown || code == .full || code == .readOnly
  }
}
