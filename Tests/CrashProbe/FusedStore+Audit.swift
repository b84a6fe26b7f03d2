import Orders
import Stock

/// Calls without a fuse.
extension FusedStore {
  func orders(
    of sku: SKU,
    bucket: Int?,
    after token: Token?,
    limit: Int
  ) async throws(OrderStoreError) -> [StoredOrder] {
    try await orders.orders(of: sku, bucket: bucket, after: token, limit: limit)
  }

  func orders(of sku: SKU, tokens: [Token]) async throws(OrderStoreError) -> [StoredOrder] {
    try await orders.orders(of: sku, tokens: tokens)
  }

  func restocks(of sku: SKU, after token: Token?, limit: Int) async throws(OrderStoreError) -> [StoredRestock] {
    try await orders.restocks(of: sku, after: token, limit: limit)
  }

  func countedTotals(of sku: SKU) async throws(OrderStoreError) -> CountedTotals? {
    try await orders.countedTotals(of: sku)
  }

  func repair(_ repairs: [OrderRepair]) async throws(OrderStoreError) -> [RepairOutcome] {
    try await orders.repair(repairs)
  }

  func positions(of sku: SKU) async throws(OrderStoreError) -> [Int: LogPosition] {
    try await orders.positions(of: sku)
  }

  func replacePosition(
    of bucket: BucketID,
    _ old: LogPosition?,
    with new: LogPosition
  ) async throws(OrderStoreError) -> LogPosition? {
    fuse.pass(.adopt, .before)
    let position = try await orders.replacePosition(of: bucket, old, with: new)
    fuse.pass(.adopt, .after)
    return position
  }

  func claimBuckets(
    of sku: SKU,
    for worker: String,
    leaseMs: Int64
  ) async throws(OrderStoreError) -> BucketClaim {
    try await orders.claimBuckets(of: sku, for: worker, leaseMs: leaseMs)
  }

  func releaseBuckets(of sku: SKU, from worker: String) async throws(OrderStoreError) {
    try await orders.releaseBuckets(of: sku, from: worker)
  }

  func leases(of sku: SKU) async throws(OrderStoreError) -> [BucketLease] { try await orders.leases(of: sku) }

  func sell(_ purchase: Purchase, holdMs: Int64?, nowMs: Int64) async throws(OrderStoreError) -> SellOutcome {
    try await orders.sell(purchase, holdMs: holdMs, nowMs: nowMs)
  }

  func confirmOrder(
    _ sku: SKU,
    token: Token,
    nowMs: Int64
  ) async throws(OrderStoreError) -> ConfirmOrderOutcome {
    try await orders.confirmOrder(sku, token: token, nowMs: nowMs)
  }

  func cancelOrder(_ sku: SKU, token: Token) async throws(OrderStoreError) -> CancelOutcome {
    try await orders.cancelOrder(sku, token: token)
  }

  func expireHolds(of sku: SKU, nowMs: Int64, limit: Int) async throws(OrderStoreError) -> Int {
    try await orders.expireHolds(of: sku, nowMs: nowMs, limit: limit)
  }
}
