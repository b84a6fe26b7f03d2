import TestServers

/// What stays of purchases whose events are trimmed.
struct Trimming: Codable {
  static let portion = 500

  var purchases: Int
  var bytesBefore: Double
  var bytesAfter: Double
  /// Of one `STOCK.TRIM` of 500 events, by `INFO commandstats`.
  var portionMicroseconds: Double

  /// Sells, then trims all of it in portions.
  static func measure(purchases: Int) throws -> Trimming {
    let stage = try Stage(appendOnly: false)
    try Contender.deduct.prepare(stage.redis)
    let before = try stage.dataBytes()
    let (template, reply) = try Contender.deduct.request(stage.redis)
    var dialogue = Repetition(template, numbers: 0..<purchases, pipeline: 64, reply: reply)
    _ = try LoadGenerator(socketPath: stage.server.socketPath, connections: 8).play(&dialogue)
    let sold = try stage.dataBytes()
    try stage.redis.call("CONFIG", "RESETSTAT")
    try trim(stage.redis, from: 0, to: purchases + 1)
    let portions = (purchases + 1 + portion - 1) / portion
    return Trimming(
      purchases: purchases,
      bytesBefore: (sold - before) / Double(purchases),
      bytesAfter: (try stage.dataBytes() - before) / Double(purchases),
      portionMicroseconds: try stage.microseconds(of: ["stock.trim"]) / Double(portions)
    )
  }

  static func trim(_ redis: RawRedis, from first: Int, to last: Int) throws {
    for sequence in stride(from: first, to: last, by: portion) {
      let reply = try redis.call("STOCK.TRIM", "drop", min(sequence + portion, last))
      guard reply.integer ?? 0 > 0 else { throw BenchError.unexpectedReply("STOCK.TRIM: \(reply)") }
    }
  }
}
