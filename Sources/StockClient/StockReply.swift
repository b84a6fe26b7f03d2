import RedisDriver

/// `[status, remaining, sequence]`, the reply of most commands.
struct StockReply: Hashable, Sendable, RedisReply {
  var status: StockStatus
  /// The bucket's units on sale after the command.
  var remaining: Int64
  /// The event that the command made, or that first took the token; else 0.
  var sequence: Int64

  init(_ status: StockStatus, remaining: Int64, sequence: Int64) {
    self.status = status
    self.remaining = remaining
    self.sequence = sequence
  }

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let count = try reply.array()
    guard count == 3 else {
      throw RedisError(.unexpectedReply, "unexpected reply: expected [status, remaining, sequence], got \(count) parts")
    }
    let status = try reply.withBytes { StockStatus(word: $0) }
    guard let status else { throw RedisError(.unexpectedReply, "unexpected reply: a status that is none of STOCK's") }
    self.status = status
    remaining = Int64(try reply.integer())
    sequence = Int64(try reply.integer())
  }
}
