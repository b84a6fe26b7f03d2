/// A type that a reply can be decoded to.
///
/// Decoding happens on the I/O thread as the reply is parsed, without a `RESPValue` in between: keep it short.
/// An error reply never gets here; it is thrown to the caller of the command.
public protocol RedisReply: Sendable {
  /// - Throws: `RedisError` with the code `unexpectedReply`.
  init(decoding reply: inout ReplyCursor) throws(RedisError)

  /// Not to be implemented: how the driver resumes a caller that waits for a reply of this type.
  static func _resume(
    _ continuation: UnsafeRawPointer,
    with reply: consuming ReplyCursor,
    lostSendings: Int,
    connection: UInt64,
    server: String
  )
  static func _resume(_ continuation: UnsafeRawPointer, throwing error: RedisError)
}

/// A decoded reply and what is known of how it came about.
@frozen
public struct Reply<Value: Sendable>: Sendable {
  public var value: Value
  /// How many earlier sendings of the same command had no reply. If not 0, the command may have run before.
  public var lostSendings: Int
  /// Which connection it came over: ``RedisClient/connectionEpoch``, as long as that connection is there.
  public var connection: UInt64

  @inlinable
  public init(value: Value, lostSendings: Int, connection: UInt64) {
    self.value = value
    self.lostSendings = lostSendings
    self.connection = connection
  }
}

extension Int: RedisReply {
  public init(decoding reply: inout ReplyCursor) throws(RedisError) { self = try reply.integer() }
}

extension String: RedisReply {
  public init(decoding reply: inout ReplyCursor) throws(RedisError) { self = try reply.string() }
}

extension Optional: RedisReply where Wrapped: RedisReply {
  public init(decoding reply: inout ReplyCursor) throws(RedisError) {
    self = reply.null() ? nil : try Wrapped(decoding: &reply)
  }
}

extension Array: RedisReply where Element: RedisReply {
  public init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let count = try reply.array()
    self = []
    reserveCapacity(count)
    for _ in 0..<count { append(try Element(decoding: &reply)) }
  }
}

/// A simple or bulk string as its bytes.
public struct Bytes: RedisReply, Hashable {
  public var bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(decoding reply: inout ReplyCursor) throws(RedisError) { bytes = try reply.bytes() }
}

/// `OK`, as `SET` and many other commands answer.
public struct OK: RedisReply, Hashable {
  public init() {}
  public init(decoding reply: inout ReplyCursor) throws(RedisError) {
    guard try reply.string() == "OK" else {
      throw RedisError(.unexpectedReply, "unexpected reply: expected OK, got another string")
    }
  }
}
