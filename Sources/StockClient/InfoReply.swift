import RedisDriver
import Stock

/// The map of `STOCK.INFO`. Fields may come in any order, and those that are not known here are passed over.
struct InfoReply: Hashable, Sendable, RedisReply {
  var info: BucketInfo

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let fields = try MapReply(decoding: &reply)
    info = BucketInfo(
      created: try fields.integer("created"),
      added: try fields.integer("added"),
      available: try fields.integer("available"),
      held: try fields.integer("held"),
      sold: try fields.integer("sold"),
      cancelled: try fields.integer("cancelled"),
      transferredIn: try fields.integer("transferredIn"),
      transferredOut: try fields.integer("transferredOut"),
      buckets: Int(try fields.integer("buckets")),
      limit: try fields.integer("limit"),
      opensMs: try fields.integer("opens"),
      closesMs: try fields.integer("closes"),
      frozen: try Self.frozen(try fields.text("frozen")),
      epoch: try fields.integer("epoch"),
      tokens: try fields.integer("tokens"),
      transfers: try fields.integer("transfers"),
      logFirst: try fields.integer("logFirst"),
      logLast: try fields.integer("logLast"),
      bytes: try fields.integer("bytes")
    )
  }

  private static func frozen(_ word: String) throws(RedisError) -> FrozenReason? {
    if word == "no" { return nil }
    guard let reason = FrozenReason(rawValue: word) else {
      throw RedisError(.unexpectedReply, "unexpected reply: its field \"frozen\" is none of STOCK's words")
    }
    return reason
  }
}
