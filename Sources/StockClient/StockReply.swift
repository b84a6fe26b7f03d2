import RedisDriver

/// `[status, remaining, sequence]`, the reply of most commands.
struct StockReply: Hashable, Sendable, RedisReply {
  var status: StockStatus
  /// The bucket's units on sale after the command.
  var remaining: Int64
  /// The event that the command made, or that first took the token; else 0.
  var sequence: Int64

  /// Whether it tells of a change, now or before, rather than of a refusal.
  var replicaNeed: ReplicaNeed {
    switch status {
    case .ok: .ownChange
    case .duplicate, .live: .earlierChange
    case .soldOut, .limit, .cancelled, .early, .closed, .frozen, .unknown: .nothing
    }
  }

  /// Of a transaction: one change covers all that was there before.
  static func replicaNeed(of replies: [RESPValue]) -> ReplicaNeed {
    let needs = replies.map { reply -> ReplicaNeed in
      switch reading(reply, lostSendings: 0) {
      case .success(let reply): reply.replicaNeed
      case .failure: .nothing
      }
    }
    if needs.contains(.ownChange) { return .ownChange }
    return needs.contains(.earlierChange) ? .earlierChange : .nothing
  }

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

  /// The same of a value, as a transaction's replies are: an error among them is the command's own.
  static func reading(_ value: RESPValue, lostSendings: Int) -> Result<StockReply, RedisError> {
    if case .error(let text) = value { return .failure(RedisError(.serverError, text, lostSendings: lostSendings)) }
    guard let parts = value.array, parts.count == 3, let word = parts[0].bytes, let remaining = parts[1].integer,
      let sequence = parts[2].integer, let status = word.withUnsafeBytes({ StockStatus(word: $0) })
    else {
      let message = "unexpected reply: expected [status, remaining, sequence]"
      return .failure(RedisError(.unexpectedReply, message, lostSendings: lostSendings))
    }
    return .success(StockReply(status, remaining: Int64(remaining), sequence: Int64(sequence)))
  }
}
