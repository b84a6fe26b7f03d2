import TestServers

/// Commands over a millisecond, by `SLOWLOG`, while one bucket takes millions of purchases, is trimmed and is deleted, beside
/// as many `HSET` to one hash on another server in turn.
struct Latency: Codable {
  static let slowMicroseconds = 1_000

  var purchases: Int
  var bucketSlow: Int
  var hashSlow: Int
  /// The longest of each, in microseconds, and of what command.
  var bucketLongest: String
  var hashLongest: String
  /// Of the plain `DEL` of a bucket of so many purchases, half of them trimmed: it frees as it goes.
  var deleteMicroseconds: Double

  /// The fewest of each in several rounds: a processor that others want makes commands slow at random.
  static func best(of rounds: Int, purchases: Int) throws -> Latency {
    var best = try measure(purchases: purchases)
    for _ in 0..<rounds - 1 {
      let next = try measure(purchases: purchases)
      if next.bucketSlow < best.bucketSlow {
        (best.bucketSlow, best.bucketLongest) = (next.bucketSlow, next.bucketLongest)
      }
      if next.hashSlow < best.hashSlow { (best.hashSlow, best.hashLongest) = (next.hashSlow, next.hashLongest) }
      best.deleteMicroseconds = min(best.deleteMicroseconds, next.deleteMicroseconds)
    }
    return best
  }

  private static func measure(purchases: Int) throws -> Latency {
    let slices = 20
    let (bucket, hash) = (try stage(), try stage())
    try Contender.deduct.prepare(bucket.redis)
    for slice in 0..<slices {
      let numbers = slice * purchases / slices..<(slice + 1) * purchases / slices
      try play(Contender.deduct.request(bucket.redis), numbers, bucket)
      // The trim follows the sale a slice behind, as one does that waits for the database.
      if slice > 0 { try Trimming.trim(bucket.redis, from: numbers.lowerBound - numbers.count, to: numbers.lowerBound) }
      let template = RequestTemplate(["HSET", "tokens", RequestTemplate.tokenPlace, "1"])
      try play((template, ":1"), numbers, hash)
    }
    try Trimming.trim(bucket.redis, from: purchases - purchases / slices, to: purchases + 1)
    guard try bucket.redis.call("UNLINK", "drop") == 1 else { throw BenchError.missing("the bucket") }
    let (slowOfBucket, slowOfHash) = (try slow(bucket), try slow(hash))
    return Latency(
      purchases: purchases,
      bucketSlow: slowOfBucket.count,
      hashSlow: slowOfHash.count,
      bucketLongest: longest(slowOfBucket),
      hashLongest: longest(slowOfHash),
      deleteMicroseconds: try delete(purchases: purchases)
    )
  }

  private static func stage() throws -> Stage { try Stage(appendOnly: false, slowlogMicroseconds: slowMicroseconds) }

  private static func play(_ request: (RequestTemplate, reply: String), _ numbers: Range<Int>, _ stage: Stage) throws {
    var dialogue = Repetition(request.0, numbers: numbers, pipeline: 64, reply: request.reply)
    _ = try LoadGenerator(socketPath: stage.server.socketPath, connections: 50).play(&dialogue)
  }

  private static func slow(_ stage: Stage) throws -> [(microseconds: Int64, command: String)] {
    let entries = try stage.redis.call("SLOWLOG", "GET", -1).elements ?? []
    return entries.compactMap { entry in
      guard let microseconds = entry[2]?.integer, let command = entry[3]?[0]?.text else { return nil }
      return ["CONFIG", "INFO", "SLOWLOG", "SYNC"].contains(command.uppercased()) ? nil : (microseconds, command)
    }
  }

  private static func longest(_ entries: [(microseconds: Int64, command: String)]) -> String {
    entries.max { $0.microseconds < $1.microseconds }.map { "\($0.command) \($0.microseconds)" } ?? "none"
  }

  private static func delete(purchases: Int) throws -> Double {
    let stage = try Stage(appendOnly: false)
    try Contender.deduct.prepare(stage.redis)
    try play(Contender.deduct.request(stage.redis), 0..<purchases, stage)
    try Trimming.trim(stage.redis, from: 0, to: purchases / 2)
    try stage.redis.call("CONFIG", "RESETSTAT")
    try stage.redis.call("DEL", "drop")
    return try stage.microseconds(of: ["del"])
  }
}
