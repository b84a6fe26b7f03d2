import RedisDriver
import Stock

/// What `STOCK.LOG` answers. Of each event: `[sequence, action, token, user, change, from, to, timestamp]`.
///
/// Workers read logs by the ten thousands of events, on the I/O thread that buyers wait for: so no text is made of an
/// action's word, and no array of another kind in between.
struct LogReply: Hashable, Sendable, RedisReply {
  var events: [StockEvent]

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let count = try reply.array()
    events = []
    events.reserveCapacity(count)
    for _ in 0..<count { events.append(try Self.event(&reply)) }
  }

  private static func event(_ reply: inout ReplyCursor) throws(RedisError) -> StockEvent {
    let count = try reply.array()
    guard count == 8 else { throw RedisError(.unexpectedReply, "unexpected reply: an event of \(count) parts") }
    let sequence = Int64(try reply.integer())
    guard let action = try reply.withBytes({ action(of: $0) }) else {
      throw RedisError(.unexpectedReply, "unexpected reply: event \(sequence) has an action that is none of STOCK's")
    }
    return StockEvent(
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

  private static func action(of word: UnsafeRawBufferPointer) -> StockAction? {
    words.first { $0.word.count == word.count && $0.word.elementsEqual(word) }?.action
  }

  private static let words = StockAction.allCases.map { (word: Array($0.rawValue.utf8), action: $0) }
}
