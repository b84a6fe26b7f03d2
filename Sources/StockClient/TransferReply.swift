import RedisDriver
import Stock

/// One entry of `STOCK.TRANSFERS`: `[transfer, direction, peer, quantity, timestamp]`.
struct TransferReply: Hashable, Sendable, RedisReply {
  var listed: ListedTransfer

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    let count = try reply.array()
    guard count == 5 else { throw RedisError(.unexpectedReply, "unexpected reply: a transfer of \(count) parts") }
    let name = try Self.name(try reply.bytes())
    let word = try reply.string()
    guard let direction = Transfer.Direction(rawValue: word.uppercased()) else {
      throw RedisError(.unexpectedReply, "unexpected reply: a transfer's direction that is neither IN nor OUT")
    }
    let transfer = Transfer(
      name: name,
      direction: direction,
      peer: try reply.integer(),
      quantity: Int64(try reply.integer())
    )
    listed = ListedTransfer(transfer: transfer, timestampMs: Int64(try reply.integer()))
  }

  private static func name(_ bytes: [UInt8]) throws(RedisError) -> TransferName {
    do {
      return try TransferName(bytes: bytes)
    } catch {
      throw RedisError(.unexpectedReply, "unexpected reply: a transfer's name of \(bytes.count) bytes")
    }
  }
}
