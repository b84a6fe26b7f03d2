import RedisDriver
import Stock

/// The map of `STOCK.GET`, or null.
struct RecordReply: Hashable, Sendable, RedisReply {
  /// What the bucket keeps of the token; nil if it does not know it.
  struct Record: Hashable, Sendable {
    var user: UserID?
    var quantity: Int64?
    var state: PurchaseState
    var sequence: Int64?
    var timestampMs: Int64?
    var expiresMs: Int64?
  }

  var record: Record?

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    guard !reply.null() else { return }
    let fields = try MapReply(decoding: &reply)
    let word = try fields.text("state")
    guard let state = PurchaseState(rawValue: word) else {
      throw RedisError(.unexpectedReply, "unexpected reply: a purchase's state that is none of STOCK's")
    }
    record = Record(
      user: try Self.user(fields.bytesIfKept("user")),
      quantity: try fields.integerIfKept("quantity"),
      state: state,
      sequence: try fields.integerIfKept("sequence"),
      timestampMs: try fields.integerIfKept("timestamp"),
      expiresMs: try fields.integerIfKept("expires")
    )
  }

  private static func user(_ bytes: [UInt8]?) throws(RedisError) -> UserID? {
    guard let bytes else { return nil }
    guard let user = try? UserID(bytes: bytes) else {
      throw RedisError(.unexpectedReply, "unexpected reply: a user of \(bytes.count) bytes")
    }
    return user
  }
}
