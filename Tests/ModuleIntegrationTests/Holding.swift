import TestServers
import Testing

/// What tests of holds share.
extension Stage {
  /// The statuses' first words, of replies in order.
  static func words(_ replies: [RESP]) -> [String] { replies.map { $0[0]?.text ?? $0.errorCode ?? "\($0)" } }

  /// Runs commands right after the server has slept that long, in one go, so that no timer of the server comes between.
  ///
  /// - Parameter first: commands just before the sleep, in the same go; their replies are left out.
  func afterSleep(
    ms: Int64,
    first: [[any RedisArgument]] = [],
    _ commands: [[any RedisArgument]]
  ) throws -> [RESP] {
    let sleep: [any RedisArgument] = ["DEBUG", "SLEEP", "\(Double(ms) / 1000)"]
    let all = first + [sleep] + commands
    try redis.send(bytes: all.flatMap(RawRedis.encode))
    return Array(try all.map { _ in try redis.receive() }.dropFirst(first.count + 1))
  }

  /// Waits until the server's clock shows more than that.
  func waitForClock(after ms: Int64) throws {
    try waitUntil("a clock after \(ms)") { try nowMs() > ms }
  }

  /// Waits, by reading alone, until a bucket has no more than so many units held.
  func waitForHeld(_ key: String, _ held: Int64 = 0) throws {
    try waitUntil("\(held) held in \(key)") { try info(key)["held"]?.integer ?? .max <= held }
  }

  /// The actions of the events after a sequence.
  func actions(_ key: String, after sequence: Int64 = 0) throws -> [String] {
    let log = try #require(self("LOG", key, sequence, "COUNT", 10_000).elements)
    return log.compactMap { $0[1]?.text }
  }

  /// The numbers of these fields of a bucket's books.
  func numbers(_ key: String, _ fields: String...) throws -> [Int64] {
    let info = try info(key)
    return fields.map { info[$0]?.integer ?? .min }
  }
}
