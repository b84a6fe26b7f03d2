/// Reads a reply part by part, from its beginning, without building values in between.
///
/// Every reading method takes the next part, or throws a `RedisError` with the code `unexpectedReply` if that is of
/// another kind. An array's count comes first, its elements follow as parts of their own.
public struct ReplyCursor: ~Copyable {
  public enum Kind: Sendable, Hashable { case simple, bulk, integer, array, null, error }

  private let tape: ReplyTape
  private var index: Int

  init(_ tape: ReplyTape, at index: Int = 0) {
    self.tape = tape
    self.index = index
  }

  /// The kind of the next part; nil at the end.
  public var nextKind: Kind? {
    guard index < tape.nodes.count else { return nil }
    return switch tape.nodes[index].kind {
    case .simple: .simple
    case .bulk: .bulk
    case .integer: .integer
    case .array: .array
    case .null: .null
    case .error: .error
    }
  }

  public mutating func integer() throws(RedisError) -> Int {
    let node = try take()
    guard node.kind == .integer else { throw Self.mismatch(expected: "an integer", node.kind) }
    return node.value
  }

  /// The number of elements, which follow.
  public mutating func array() throws(RedisError) -> Int {
    let node = try take()
    guard node.kind == .array else { throw Self.mismatch(expected: "an array", node.kind) }
    return node.value
  }

  /// Takes the next part if it is null.
  public mutating func null() -> Bool {
    guard index < tape.nodes.count, tape.nodes[index].kind == .null else { return false }
    index += 1
    return true
  }

  /// Lends the bytes of a simple or bulk string for the duration of the call.
  @inline(__always)
  public mutating func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(RedisError) -> Result
  ) throws(RedisError) -> Result {
    try body(try borrowedBytes())
  }

  public mutating func bytes() throws(RedisError) -> [UInt8] { Array(try borrowedBytes()) }

  /// A simple or bulk string. Bytes that are not UTF-8 are an `unexpectedReply`.
  public mutating func string() throws(RedisError) -> String {
    guard let text = String(validating: try borrowedBytes(), as: UTF8.self) else {
      throw RedisError(.unexpectedReply, "unexpected reply: a string that is not UTF-8")
    }
    return text
  }

  /// The next part with all that belongs to it.
  public mutating func value() throws(RedisError) -> RESPValue {
    let node = try take()
    switch node.kind {
    case .simple: return .simple(String(decoding: tape.bytes(of: node), as: UTF8.self))
    case .error: return .error(String(decoding: tape.bytes(of: node), as: UTF8.self))
    case .bulk: return .bulk(Array(tape.bytes(of: node)))
    case .integer: return .integer(node.value)
    case .null: return .null
    case .array:
      var elements: [RESPValue] = []
      elements.reserveCapacity(node.value)
      for _ in 0..<node.value { elements.append(try value()) }
      return .array(elements)
    }
  }

  /// The text of an error, which stands alone or in a block.
  @usableFromInline
  mutating func errorText() throws(RedisError) -> String {
    let node = try take()
    guard node.kind == .error else { throw Self.mismatch(expected: "an error", node.kind) }
    return String(decoding: tape.bytes(of: node), as: UTF8.self)
  }

  /// Passes over the next part with all that belongs to it.
  public mutating func skip() throws(RedisError) {
    var parts = 1
    while parts > 0 {
      let node = try take()
      parts += node.kind == .array ? node.value - 1 : -1
    }
  }

  @inline(__always)
  private mutating func take() throws(RedisError) -> ReplyTape.Node {
    guard index < tape.nodes.count else {
      throw RedisError(.unexpectedReply, "unexpected reply: it has fewer parts than expected")
    }
    defer { index += 1 }
    return tape.nodes[index]
  }

  @usableFromInline
  mutating func borrowedBytes() throws(RedisError) -> UnsafeRawBufferPointer {
    let node = try take()
    guard node.kind == .simple || node.kind == .bulk else { throw Self.mismatch(expected: "a string", node.kind) }
    return tape.bytes(of: node)
  }

  private static func mismatch(expected: String, _ kind: ReplyTape.Kind) -> RedisError {
    RedisError(.unexpectedReply, "unexpected reply: expected \(expected), got \(kind)")
  }
}
