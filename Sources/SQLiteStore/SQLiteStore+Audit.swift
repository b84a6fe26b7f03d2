import GRDB
import Orders
import Stock

extension SQLiteStore {
  public func orders(
    of sku: SKU,
    bucket: Int?,
    after token: Token?,
    limit: Int
  ) async throws(OrderStoreError) -> [StoredOrder] {
    try await read("reading the orders of \(sku)") { db in
      try AuditRows.orders(of: sku, bucket: bucket, after: token, limit: limit, db: db)
    }
  }

  public func orders(of sku: SKU, tokens: [Token]) async throws(OrderStoreError) -> [StoredOrder] {
    try await read("reading orders of \(sku)") { db in try AuditRows.orders(of: sku, tokens: tokens, db: db) }
  }

  public func restocks(of sku: SKU, after token: Token?, limit: Int) async throws(OrderStoreError) -> [StoredRestock] {
    try await read("reading the restocks of \(sku)") { db in
      try AuditRows.restocks(of: sku, after: token, limit: limit, db: db)
    }
  }

  public func countedTotals(of sku: SKU) async throws(OrderStoreError) -> CountedTotals? {
    try await read("counting the orders of \(sku)") { db in
      guard let kept = try SaleRows.totals(of: sku, db: db) else { return nil }
      return CountedTotals(kept: kept, counted: try SaleRows.counted(kept, of: sku, db: db))
    }
  }

  public func repair(_ repairs: [OrderRepair]) async throws(OrderStoreError) -> [RepairOutcome] {
    repairs.isEmpty ? [] : try await repairer.submit(repairs)
  }

  public func positions(of sku: SKU) async throws(OrderStoreError) -> [Int: LogPosition] {
    try await read("reading the log positions of \(sku)") { db in try PositionRows.fetchAll(sku, db: db) }
  }

  public func replacePosition(
    of bucket: BucketID,
    _ old: LogPosition?,
    with new: LogPosition
  ) async throws(OrderStoreError) -> LogPosition? {
    try StoreBounds.checkPosition(new, of: bucket)
    return try await write("replacing the log position of \(bucket)") { db in
      try PositionRows.replace(bucket, old, with: new, db: db)
    }
  }

  public func claimBuckets(
    of sku: SKU,
    for worker: String,
    leaseMs: Int64
  ) async throws(OrderStoreError) -> BucketClaim {
    try StoreBounds.checkClaim(worker: worker, leaseMs: leaseMs)
    return try await write("claiming buckets of \(sku)") { db in
      try LeaseRows.claim(sku, worker: worker, leaseMs: leaseMs, db: db)
    }
  }

  public func releaseBuckets(of sku: SKU, from worker: String) async throws(OrderStoreError) {
    try await write("releasing buckets of \(sku)") { db in try LeaseRows.release(sku, worker: worker, db: db) }
  }

  public func leases(of sku: SKU) async throws(OrderStoreError) -> [BucketLease] {
    try await read("reading the leases of \(sku)") { db in try LeaseRows.fetchAll(sku, db: db) }
  }
}

extension SQLiteStore {
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
    try await write("confirming an order of \(sku)") { db in
      try SellingRows(db: db).confirm(sku, token: token, nowMs: nowMs)
    }
  }

  public func cancelOrder(_ sku: SKU, token: Token) async throws(OrderStoreError) -> CancelOutcome {
    try await write("cancelling an order of \(sku)") { db in try SellingRows(db: db).cancel(sku, token: token) }
  }

  public func expireHolds(of sku: SKU, nowMs: Int64, limit: Int) async throws(OrderStoreError) -> Int {
    try await write("expiring holds on \(sku)") { db in
      try SellingRows(db: db).expire(sku, nowMs: nowMs, limit: limit)
    }
  }
}
