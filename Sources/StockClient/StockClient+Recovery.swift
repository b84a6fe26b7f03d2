import RedisDriver
import Stock

/// Freezing, thawing, and writing in what was lost.
extension StockClient {
  public nonisolated(nonsending) func freeze(_ bucket: BucketID) async throws(StockError) {
    try await carryOut(Request(command: "STOCK.FREEZE", key: bucket, effect: .changes), bucket) { $0.key(of: bucket) }
  }

  public nonisolated(nonsending) func thaw(_ bucket: BucketID, epoch: Int64?) async throws(StockError) {
    defer { unitsMayBeBack(in: bucket) }
    // Without an epoch a second one would also end the freeze that the operator's had hidden, and nobody has compared.
    let options = epoch == nil ? CallOptions.once : .retrying
    try await carryOut(Request(command: "STOCK.THAW", key: bucket, effect: .changes), bucket, options: options) {
      writer in
      writer.key(of: bucket)
      if let epoch { writer.option("EPOCH", epoch) }
    }
  }

  public nonisolated(nonsending) func record(_ entry: LostEntry, in bucket: BucketID) async throws(StockError)
    -> LostEntryOutcome
  {
    if case .purchase(let purchase, _) = entry, purchase.sku != bucket.sku {
      throw StockError(.refused, "STOCK.RECORD: a purchase of \(purchase.sku) does not belong to bucket \(bucket)")
    }
    let request = Request(command: "STOCK.RECORD", key: bucket, effect: .changes)
    defer { unitsMayBeBack(in: bucket) }
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.entry(entry)
    }
    switch reply.value.status {
    case .ok: return .recorded
    case .duplicate: return .alreadyThere
    case .soldOut:
      try request.requireFinal(reply)
      return .short(remaining: reply.value.remaining)
    case .cancelled, .early, .closed, .limit, .frozen, .live, .unknown: throw request.unexpected(reply)
    }
  }
}

extension CommandWriter {
  fileprivate mutating func entry(_ entry: LostEntry) {
    switch entry {
    case .purchase(let purchase, let state):
      argument(purchase.user.bytes)
      argument(purchase.token.bytes)
      argument(purchase.quantity)
      argument(state.rawValue)
    case .transfer(let transfer):
      argument("TRANSFER")
      argument(transfer.name.bytes)
      argument(transfer.direction.rawValue)
      argument(Int64(transfer.peer))
      argument(transfer.quantity)
    case .restock(let token, let quantity):
      argument("RESTOCK")
      argument(token.bytes)
      argument(quantity)
    }
  }
}
