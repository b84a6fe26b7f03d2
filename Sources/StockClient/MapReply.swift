import RedisDriver

/// A map, in RESP2 a flat array of names and values. For replies that are asked for seldom.
struct MapReply: Sendable, RedisReply {
  private var fields: [String: RESPValue] = [:]

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let count = try reply.array()
    guard count.isMultiple(of: 2) else {
      throw RedisError(.unexpectedReply, "unexpected reply: a map of \(count) parts")
    }
    for _ in 0..<(count / 2) {
      let name = try reply.string()
      fields[name] = try reply.value()
    }
  }

  func integer(_ name: String) throws(RedisError) -> Int64 {
    guard case .integer(let number) = fields[name] else { throw Self.missing(name, "an integer") }
    return Int64(number)
  }

  func text(_ name: String) throws(RedisError) -> String {
    guard let text = fields[name]?.string else { throw Self.missing(name, "a string") }
    return text
  }

  /// Nil where the field is null or absent, which is how the module shows what it no longer keeps.
  func integerIfKept(_ name: String) throws(RedisError) -> Int64? {
    isKept(name) ? try integer(name) : nil
  }

  func bytesIfKept(_ name: String) throws(RedisError) -> [UInt8]? {
    guard isKept(name) else { return nil }
    guard let bytes = fields[name]?.bytes else { throw Self.missing(name, "a string") }
    return bytes
  }

  private func isKept(_ name: String) -> Bool { !(fields[name]?.isNull ?? true) }

  private static func missing(_ name: String, _ expected: String) -> RedisError {
    RedisError(.unexpectedReply, "unexpected reply: its field \"\(name)\" is not \(expected)")
  }
}
