import Stock

/// The database seam. The database has the last word: each accepted purchase becomes one order row and one decrement.
///
/// Every call is idempotent and atomic: after a lost reply or a crash it may be repeated. Every implementation passes
/// the same behaviour tests (Tests/OrderStoreContract).
public protocol OrderStore: Sendable {
  /// Writes the sale, its product with its stock, and its buckets' rows. Nothing changes where the sale is known.
  /// - Returns: the sale as the database has it: the given one, or the one that was there.
  func create(_ sale: Sale) async throws(OrderStoreError) -> Sale

  func sale(_ sku: SKU) async throws(OrderStoreError) -> Sale?

  /// All sales, in order of SKU.
  func sales() async throws(OrderStoreError) -> [Sale]

  /// Notes the sale's new terms (number of buckets excepted).
  func reschedule(_ sku: SKU, limit: Int64?, opensMs: Int64?, closesMs: Int64?) async throws(OrderStoreError)

  /// Adds units to a product, once per token; a negative quantity takes them down.
  /// A quantity of 0 changes no stock and is remembered like any other: so a token is given up for good, and whoever
  /// still tries to use it hears `mismatch`.
  /// - Throws: `refused` for a quantity beyond 2^53, or with which stock, held and sold would exceed it.
  func restock(_ sku: SKU, token: Token, quantity: Int64) async throws(OrderStoreError) -> RestockOutcome

  /// Takes a restock that could not be carried out in the buckets back: its row and its effect on the stock.
  /// Nothing changes where there is no such restock.
  /// - Throws: `refused` where its units are not all unsold.
  func undoRestock(_ sku: SKU, token: Token) async throws(OrderStoreError)

  /// Records orders in state sold, by the store's hot-row strategy. One outcome per order, in their order; one bad order
  /// never fails its neighbours.
  /// - Throws: a fault of the database. Some of the orders may have been recorded; repeating the call tells.
  func record(_ orders: [Order]) async throws(OrderStoreError) -> [RecordOutcome]

  func order(_ sku: SKU, token: Token) async throws(OrderStoreError) -> StoredOrder?

  func totals(of sku: SKU) async throws(OrderStoreError) -> SaleTotals?

  /// How far the database has followed a bucket's log; nil before the first batch.
  func position(of bucket: BucketID) async throws(OrderStoreError) -> LogPosition?

  /// Brings log events and the position after them in, in one transaction.
  ///
  /// A bucket without a position stands at sequence 0 of whatever epoch its first batch is of. After that its epoch
  /// never changes here: a bucket in a new epoch may have lost its past, which is for recovery to settle.
  /// - Throws: `unknownProduct` where the bucket's product is in no sale; `refused` for a batch with gaps, or with an
  ///   order of another bucket. Nothing was changed.
  func follow(_ batch: LogBatch) async throws(OrderStoreError) -> LogBatchOutcome

  func close() async
}

/// How a store writes orders of a hot product.
public enum HotRowStrategy: String, Hashable, Sendable, CaseIterable {
  /// A transaction an order.
  case rowLock
  /// A batch of orders is one transaction: one decrement per product, one commit. A batch that fails is bisected.
  case groupCommit
}
