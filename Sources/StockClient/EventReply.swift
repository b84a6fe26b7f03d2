import RedisDriver
import Stock

/// One entry of `STOCK.LOG`: `[sequence, action, token, user, change, from, to, timestamp]`.
struct EventReply: Hashable, Sendable, RedisReply {
  var event: StockEvent

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let count = try reply.array()
    guard count == 8 else { throw RedisError(.unexpectedReply, "unexpected reply: an event of \(count) parts") }
    let sequence = Int64(try reply.integer())
    let word = try reply.string()
    guard let action = StockAction(rawValue: word) else {
      throw RedisError(.unexpectedReply, "unexpected reply: event \(sequence) has an action that is none of STOCK's")
    }
    event = StockEvent(
      sequence: sequence,
      action: action,
      token: reply.null() ? nil : try reply.bytes(),
      user: reply.null() ? nil : try reply.bytes(),
      change: Int64(try reply.integer()),
      from: Int64(try reply.integer()),
      to: Int64(try reply.integer()),
      timestampMs: Int64(try reply.integer())
    )
  }
}
