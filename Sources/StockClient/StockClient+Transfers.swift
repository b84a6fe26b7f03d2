import RedisDriver
import Stock

/// Movements of units between buckets.
extension StockClient {
  public nonisolated(nonsending) func withdraw(
    _ transfer: TransferName,
    quantity: Int64,
    from bucket: BucketID,
    to target: Int
  ) async throws(StockError) -> WithdrawOutcome {
    let request = Request(command: "STOCK.WITHDRAW", key: bucket, effect: .changes)
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(transfer.bytes)
      writer.argument(quantity)
      writer.option("TO", Int64(target))
    }
    // What others call the stock that remains is here the amount that was moved.
    let moved = reply.value.remaining
    switch reply.value.status {
    case .ok: return .withdrawn(moved, isRepeat: false)
    case .duplicate: return .withdrawn(moved, isRepeat: reply.lostSendings == 0)
    case .soldOut:
      try request.requireFinal(reply)
      return .soldOut
    case .frozen: throw request.frozen(reply)
    case .cancelled, .early, .closed, .limit, .live, .unknown: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func deposit(_ deposit: Deposit, into bucket: BucketID) async throws(StockError)
    -> DepositOutcome
  {
    let request = Request(command: "STOCK.DEPOSIT", key: bucket, effect: .changes)
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(deposit.name.bytes)
      writer.argument(deposit.quantity)
      writer.option("FROM", Int64(deposit.source))
    }
    switch reply.value.status {
    case .ok: return .deposited(remaining: reply.value.remaining)
    case .duplicate: return .alreadyDeposited(remaining: reply.value.remaining)
    case .cancelled, .early, .closed, .limit, .soldOut, .frozen, .live, .unknown: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func settle(_ transfer: TransferName, in bucket: BucketID) async throws(StockError)
    -> SettleOutcome
  {
    let request = Request(command: "STOCK.SETTLE", key: bucket, effect: .changes)
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(transfer.bytes)
    }
    switch reply.value.status {
    case .ok: return .settled
    case .duplicate: return .alreadySettled
    case .unknown:
      try request.requireFinal(reply)
      return .unknownTransfer
    case .cancelled, .early, .closed, .limit, .soldOut, .frozen, .live: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func transfers(
    _ bucket: BucketID,
    settled: Bool,
    after: TransferName?,
    count: Int
  ) async throws(StockError) -> [ListedTransfer] {
    let entries = try await read("STOCK.TRANSFERS", [TransferReply].self, bucket) { writer in
      writer.key(of: bucket)
      if settled { writer.argument("ALL") }
      if let after {
        writer.argument("AFTER")
        writer.argument(after.bytes)
      }
      writer.option("COUNT", Int64(count))
    }
    return entries.map(\.listed)
  }

  /// Buckets on different servers, or in different slots of a cluster, can't be shared out in one step.
  public nonisolated(nonsending) func rebalance(
    _ sku: SKU,
    buckets: [Int],
    weights: [Int64]?
  ) async throws(StockError) -> [Int64] {
    guard let first = buckets.first.map({ BucketID(sku: sku, index: $0) }), buckets.count > 1 else {
      throw StockError(.refused, "STOCK.REBALANCE: \(buckets.count) buckets; at least two share their stock")
    }
    if let weights, weights.count != buckets.count {
      throw StockError(.refused, "STOCK.REBALANCE: \(weights.count) weights for \(buckets.count) buckets; one each")
    }
    let request = Request(command: "STOCK.REBALANCE", key: first, effect: .changes)
    let place = BucketPlace(first)
    for index in buckets where !router.areTogether(place, BucketPlace(BucketID(sku: sku, index: index))) {
      throw request.error(
        .bucketsApart,
        "bucket \(sku)/\(index) is not \(router.cluster == nil ? "on its server" : "in its slot")"
      )
    }
    do {
      return try await router.call(request.command, at: place, as: SharesReply.self, options: .retrying) { writer in
        for index in buckets { writer.key(of: BucketID(sku: sku, index: index)) }
        if let weights {
          writer.argument("WEIGHTS")
          for weight in weights { writer.argument(weight) }
        }
      }.value.shares
    } catch {
      throw request.error(error)
    }
  }
}

/// Each bucket's stock, in the order of the keys.
private struct SharesReply: RedisReply {
  var shares: [Int64]

  init(decoding reply: inout ReplyCursor) throws(RedisError) {
    shares = try [Int](decoding: &reply).map(Int64.init)
  }
}
