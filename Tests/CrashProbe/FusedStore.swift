import Orders
import Stock

/// An order store that passes the fuse around its calls.
struct FusedStore: OrderStore {
  let orders: any OrderStore
  let fuse: Fuse

  func record(
    _ batch: [Order],
    as state: OrderState,
    rejecting: Bool
  ) async throws(OrderStoreError) -> [RecordOutcome] {
    fuse.pass(.record, .before)
    let outcomes = try await orders.record(batch, as: state, rejecting: rejecting)
    fuse.pass(.record, .after)
    return outcomes
  }

  func record(carts: [CartRecording]) async throws(OrderStoreError) -> [CartRecordOutcome] {
    fuse.pass(.record, .before)
    let outcomes = try await orders.record(carts: carts)
    fuse.pass(.record, .after)
    return outcomes
  }

  func follow(_ batch: LogBatch) async throws(OrderStoreError) -> LogBatchOutcome {
    fuse.pass(.follow, .before)
    let outcome = try await orders.follow(batch)
    fuse.pass(.follow, .after)
    return outcome
  }

  func create(_ sale: Sale) async throws(OrderStoreError) -> Sale { try await orders.create(sale) }

  func sale(_ sku: SKU) async throws(OrderStoreError) -> Sale? { try await orders.sale(sku) }

  func sales() async throws(OrderStoreError) -> [Sale] { try await orders.sales() }

  func reschedule(_ sku: SKU, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(OrderStoreError) {
    try await orders.reschedule(sku, limit: limit, opensMs: opensMs, closesMs: closesMs)
  }

  func restock(_ sku: SKU, token: Token, quantity: Int64) async throws(OrderStoreError) -> RestockOutcome {
    try await orders.restock(sku, token: token, quantity: quantity)
  }

  func undoCreate(_ sale: Sale) async throws(OrderStoreError) { try await orders.undoCreate(sale) }

  func undoRestock(_ sku: SKU, token: Token) async throws(OrderStoreError) {
    try await orders.undoRestock(sku, token: token)
  }

  func order(_ sku: SKU, token: Token) async throws(OrderStoreError) -> StoredOrder? {
    try await orders.order(sku, token: token)
  }

  func totals(of sku: SKU) async throws(OrderStoreError) -> SaleTotals? { try await orders.totals(of: sku) }

  func position(of bucket: BucketID) async throws(OrderStoreError) -> LogPosition? {
    try await orders.position(of: bucket)
  }

  func close() async { await orders.close() }
}
