import Orders
import Stock

extension MySQLStore {
  public func orders(
    of sku: SKU,
    bucket: Int?,
    after token: Token?,
    limit: Int
  ) async throws(OrderStoreError) -> [StoredOrder] {
    try await read("reading the orders of \(sku)") {
      try $0.orders(of: sku, bucket: bucket, after: token, limit: limit)
    }
  }

  public func orders(of sku: SKU, tokens: [Token]) async throws(OrderStoreError) -> [StoredOrder] {
    try await read("reading orders of \(sku)") { try $0.orders(of: sku, tokens: Array(Set(tokens))) }
  }

  public func restocks(of sku: SKU, after token: Token?, limit: Int) async throws(OrderStoreError) -> [StoredRestock] {
    try await read("reading the restocks of \(sku)") { try $0.restocks(of: sku, after: token, limit: limit) }
  }

  public func countedTotals(of sku: SKU) async throws(OrderStoreError) -> CountedTotals? {
    try await read("counting the orders of \(sku)") { try $0.countedTotals(of: sku) }
  }

  public func repair(_ repairs: [OrderRepair]) async throws(OrderStoreError) -> [RepairOutcome] {
    repairs.isEmpty ? [] : try await repairer.submit(repairs)
  }

  public func positions(of sku: SKU) async throws(OrderStoreError) -> [Int: LogPosition] {
    try await read("reading the log positions of \(sku)") { try $0.positions(of: sku) }
  }

  public func replacePosition(
    of bucket: BucketID,
    _ old: LogPosition?,
    with new: LogPosition
  ) async throws(OrderStoreError) -> LogPosition? {
    try StoreBounds.checkPosition(new, of: bucket)
    return try await pool.call { connection throws(OrderStoreError) in
      try connection.replacePosition(of: bucket, old, with: new)
    }
  }

  public func claimBuckets(
    of sku: SKU,
    for worker: String,
    leaseMs: Int64
  ) async throws(OrderStoreError) -> BucketClaim {
    try StoreBounds.checkClaim(worker: worker, leaseMs: leaseMs)
    return try await pool.call { connection throws(OrderStoreError) in
      try connection.claim(sku, worker: worker, leaseMs: leaseMs)
    }
  }

  public func releaseBuckets(of sku: SKU, from worker: String) async throws(OrderStoreError) {
    try await pool.call { connection throws(OrderStoreError) in try connection.release(sku, worker: worker) }
  }

  public func leases(of sku: SKU) async throws(OrderStoreError) -> [BucketLease] {
    try await read("reading the leases of \(sku)") { try $0.leases(of: sku) }
  }
}

extension MySQLStore {
  public func sell(
    _ purchase: Purchase,
    holdMs: Int64?,
    nowMs: Int64
  ) async throws(OrderStoreError) -> SellOutcome {
    try StoreBounds.checkHold(purchase.sku, holdMs: holdMs)
    let outcomes = try await seller.submit([SellAttempt(purchase: purchase, holdMs: holdMs, nowMs: nowMs)])
    guard let outcome = outcomes.first else { throw OrderStoreError(.corrupt, "a sale of \(purchase.sku) got lost") }
    return try outcome.get()
  }

  public func confirmOrder(
    _ sku: SKU,
    token: Token,
    nowMs: Int64
  ) async throws(OrderStoreError) -> ConfirmOrderOutcome {
    try await pool.call { connection throws(OrderStoreError) in
      try connection.confirm(sku, token: token, nowMs: nowMs)
    }
  }

  public func cancelOrder(_ sku: SKU, token: Token) async throws(OrderStoreError) -> CancelOutcome {
    try await pool.call { connection throws(OrderStoreError) in try connection.cancel(sku, token: token) }
  }

  public func expireHolds(of sku: SKU, nowMs: Int64, limit: Int) async throws(OrderStoreError) -> Int {
    try await pool.call { connection throws(OrderStoreError) in
      try connection.expireHolds(sku, nowMs: nowMs, limit: limit)
    }
  }
}
