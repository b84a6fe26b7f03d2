/// Any reply of a server, as a value of its own.
public enum RESPValue: Sendable, Hashable {
  case simple(String)
  case bulk([UInt8])
  case integer(Int)
  case array([RESPValue])
  case null
  /// An error within an array, as in the reply of a transaction. A command's own error is thrown instead.
  case error(String)
}

extension RESPValue {
  /// The text of a simple or bulk string; nil for other kinds, and for bytes that are not UTF-8.
  public var string: String? {
    switch self {
    case .simple(let text): text
    case .bulk(let bytes): String(validating: bytes, as: UTF8.self)
    case .integer, .array, .null, .error: nil
    }
  }

  /// The bytes of a simple or bulk string; nil for other kinds.
  public var bytes: [UInt8]? {
    switch self {
    case .simple(let text): Array(text.utf8)
    case .bulk(let bytes): bytes
    case .integer, .array, .null, .error: nil
    }
  }

  /// The number, also of a bulk string that is one, as `INFO` and hashes have them; nil for other kinds.
  public var integer: Int? {
    switch self {
    case .integer(let number): number
    case .bulk, .simple: string.flatMap { Int($0) }
    case .array, .null, .error: nil
    }
  }

  /// The elements; nil for other kinds.
  public var array: [RESPValue]? {
    guard case .array(let elements) = self else { return nil }
    return elements
  }

  public var isNull: Bool { self == .null }
}

extension RESPValue: RedisReply {
  public init(decoding reply: inout ReplyCursor) throws(RedisError) { self = try reply.value() }
}
