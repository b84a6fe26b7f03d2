import Stock

/// All buckets, as the contract describes them: what the module does, without its log's bounds.
struct ModelStock {
  var buckets: [BucketID: ModelBucket] = [:]
  private var epochs: Int64 = 100

  mutating func create(
    _ id: BucketID,
    quantity: Int64,
    terms: SaleTerms,
    frozen: Bool = false,
    nowMs: Int64
  ) throws(StockError) {
    guard buckets[id] == nil else { throw StockError(.bucketExists, "\(id) is there") }
    epochs += 1
    var bucket = ModelBucket(created: quantity, terms: terms, epoch: epochs, nowMs: nowMs)
    if frozen { bucket.frozen = .create }
    buckets[id] = bucket
  }

  /// The bucket's server may have lost writes: it comes up frozen, in a new epoch.
  mutating func comeUp(_ id: BucketID, _ reason: FrozenReason) {
    epochs += 1
    buckets[id]?.comeUp(reason, epoch: epochs)
  }

  mutating func with<R>(
    _ id: BucketID,
    _ body: (inout ModelBucket) throws(StockError) -> R
  ) throws(StockError) -> R {
    guard var bucket = buckets[id] else { throw StockError(.noBucket, "there is no bucket \(id)") }
    let result: R
    do throws(StockError) {
      result = try body(&bucket)
    } catch {
      buckets[id] = bucket
      throw error
    }
    buckets[id] = bucket
    return result
  }

  mutating func deduct(
    _ purchase: Purchase,
    from id: BucketID,
    holdMs: Int64?,
    depositing deposits: [Deposit],
    nowMs: Int64
  ) throws(StockError) -> DepositedDeduction {
    try with(id) { bucket throws(StockError) in
      var isDeposited = true
      for deposit in deposits {
        do throws(StockError) { _ = try bucket.deposit(deposit, nowMs: nowMs) } catch { isDeposited = false }
      }
      return DepositedDeduction(
        deduction: try bucket.deduct(purchase, holdMs: holdMs, nowMs: nowMs),
        isDeposited: isDeposited
      )
    }
  }

  mutating func rebalance(_ sku: SKU, _ indices: [Int], weights: [Int64]?, nowMs: Int64) throws(StockError) -> [Int64] {
    let ids = indices.map { BucketID(sku: sku, index: $0) }
    var total: Int64 = 0
    for id in ids {
      try with(id) { bucket throws(StockError) in
        guard bucket.frozen == nil else { throw StockError(.frozen, "\(id) is frozen") }
        bucket.expire(nowMs)
        total += bucket.available
      }
    }
    let weights = weights ?? ids.map { _ in 1 }
    let sum = weights.reduce(0, +)
    var shares = weights.map { total * $0 / sum }
    for index in 0..<Int(total - shares.reduce(0, +)) { shares[index] += 1 }
    for (id, share) in zip(ids, shares) { buckets[id]?.rebalance(to: share, nowMs: nowMs) }
    return shares
  }
}
