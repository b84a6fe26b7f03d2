import Stock

/// The database seam. The database has the last word: each accepted purchase becomes one order row and one decrement.
///
/// Every call is idempotent and atomic: after a lost reply or a crash it may be repeated. Every implementation passes
/// the same behaviour tests (Tests/OrderStoreContract).
public protocol OrderStore: Sendable {
  /// Writes the sale, its product with its stock, and its buckets' rows. Nothing changes where the sale is known.
  /// - Returns: the sale as the database has it: the given one, or the one that was there.
  func create(_ sale: Sale) async throws(OrderStoreError) -> Sale

  /// Takes a sale back that could not be set up: its rows, its product and its buckets' rows. Nothing changes where the
  /// database's sale is another than the given one (in any value, the time of its creation included), or where something
  /// came of it: the position of a bucket, an order or a restock.
  func undoCreate(_ sale: Sale) async throws(OrderStoreError)

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

  /// Records orders, by the store's hot-row strategy. One outcome per order, in their order; one bad order never fails
  /// its neighbours.
  /// - Parameters:
  ///   - state: held or sold.
  ///   - rejecting: whether an order whose stock is short becomes a row in state rejected. Otherwise nothing is written
  ///     of it: units that its bucket has had back, and sold again, may be on their way to the database yet.
  /// - Throws: a fault of the database. Some of the orders may have been recorded; repeating the call tells.
  func record(
    _ orders: [Order],
    as state: OrderState,
    rejecting: Bool
  ) async throws(OrderStoreError) -> [RecordOutcome]

  /// Records carts, each with all its lines' orders or not at all. One outcome per cart, in their order; one bad cart never
  /// fails its neighbours.
  ///
  /// The first call that records or ends a cart decides for good, whatever later ones ask for. Where it ends one, it takes
  /// back the lines that the log has stored, and writes those that are missing: as rejected the one whose stock is
  /// short, as cancelled the others. A line whose token's row is another purchase is left as it is.
  /// - Throws: a fault of the database. Some of the carts may have been recorded; repeating the call tells.
  func record(carts: [CartRecording]) async throws(OrderStoreError) -> [CartRecordOutcome]

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

  // MARK: - Auditing and repairing

  /// A page of a product's orders, of one bucket or of all: those after a token, in order of the tokens' bytes. A page of
  /// fewer than `limit` is the last. Orders that are written meanwhile may or may not be seen. A page of one bucket
  /// passes over the orders of the others, so all buckets in one pass cost less than bucket by bucket.
  /// - Parameter limit: 1 to 10,000; what is outside is taken for the nearer bound.
  func orders(
    of sku: SKU,
    bucket: Int?,
    after token: Token?,
    limit: Int
  ) async throws(OrderStoreError) -> [StoredOrder]

  /// The orders of these tokens that are there, in no particular order.
  func orders(of sku: SKU, tokens: [Token]) async throws(OrderStoreError) -> [StoredOrder]

  /// A page of a product's restocks, as ``orders(of:bucket:after:limit:)`` pages orders.
  func restocks(of sku: SKU, after token: Token?, limit: Int) async throws(OrderStoreError) -> [StoredRestock]

  /// A product's totals as they are kept and as its orders make them, which differ after an edit by hand. A state without
  /// orders is absent in both. Reads all orders of the product.
  func countedTotals(of sku: SKU) async throws(OrderStoreError) -> CountedTotals?

  /// Mends orders and stocks. One outcome per repair, in their order; repairing twice changes nothing more.
  ///
  /// Orders of a sale on the path `database` have no bucket to differ from: there only
  /// ``OrderRepair/recount(_:)`` is carried out, all else is refused.
  /// - Throws: a fault of the database. Some of the repairs may have been made; repeating the call tells.
  func repair(_ repairs: [OrderRepair]) async throws(OrderStoreError) -> [RepairOutcome]

  // MARK: - Sharing buckets among workers

  /// The positions of all buckets of a product that have one, by bucket.
  func positions(of sku: SKU) async throws(OrderStoreError) -> [Int: LogPosition]

  /// Puts `new` in the place of a bucket's position, if the database still holds `old` (nil: none): for recovery, which
  /// has compared bucket and orders, and goes on in the bucket's new epoch.
  /// - Returns: the position that the database holds now; another than `new` if it did not hold `old`.
  /// - Throws: `unknownProduct`; `refused` for a negative sequence.
  func replacePosition(
    of bucket: BucketID,
    _ old: LogPosition?,
    with new: LogPosition
  ) async throws(OrderStoreError) -> LogPosition?

  /// Shares a sale's buckets out among the workers that ask, each for itself and again and again.
  ///
  /// Renews this worker's leases, gives up those beyond its fair part, and takes free and expired ones up to it. A worker
  /// that has not asked for its `leaseMs` counts no more, and its buckets are free. Time is the database's. A lease keeps
  /// workers from doing work twice and nothing else: ``follow(_:)`` compares the position.
  /// - Parameter worker: a name of the worker's own, 1 to 64 bytes.
  /// - Parameter leaseMs: how long the buckets are its own without its asking again, 1 to 3,600,000.
  /// - Throws: `unknownProduct`; `refused` for an argument outside its bounds.
  func claimBuckets(of sku: SKU, for worker: String, leaseMs: Int64) async throws(OrderStoreError) -> BucketClaim

  /// Gives all that a worker has of a sale up, before it ends.
  func releaseBuckets(of sku: SKU, from worker: String) async throws(OrderStoreError)

  /// The leases that have not expired, by bucket.
  func leases(of sku: SKU) async throws(OrderStoreError) -> [BucketLease]

  // MARK: - Selling without Redis

  /// Sells on the path `database`: one transaction decides and writes the order, by the store's hot-row strategy.
  ///
  /// The first that applies: a known token hears its first outcome, or `cancelled`; then the window, by `nowMs`; the
  /// buyer's limit; the stock, to which the units of holds that are due come back first. A refused token is not
  /// remembered. The terms are the database's own of this moment.
  /// - Parameters:
  ///   - holdMs: how long the units are kept for the buyer until ``confirmOrder(_:token:nowMs:)``; nil to sell at once.
  ///   - nowMs: the caller's clock, ms since 1970. The order's time.
  /// - Throws: `refused` where the sale is on another path, or for a hold outside 1 to 2^53.
  func sell(_ purchase: Purchase, holdMs: Int64?, nowMs: Int64) async throws(OrderStoreError) -> SellOutcome

  /// A held order is sold, unless its hold is over by `nowMs`. On the path `database`.
  /// - Throws: `refused` where the sale is on another path.
  func confirmOrder(_ sku: SKU, token: Token, nowMs: Int64) async throws(OrderStoreError) -> ConfirmOrderOutcome

  /// A held or sold order is cancelled, and its units come back. On the path `database`.
  /// - Throws: `refused` where the sale is on another path.
  func cancelOrder(_ sku: SKU, token: Token) async throws(OrderStoreError) -> CancelOutcome

  /// Cancels holds that are over by `nowMs`, `limit` at most (1 to 10,000). On the path `database`.
  /// - Returns: how many.
  func expireHolds(of sku: SKU, nowMs: Int64, limit: Int) async throws(OrderStoreError) -> Int

  func close() async
}

extension OrderStore {
  /// Records orders in state sold, or rejected where the stock is short.
  public func record(_ orders: [Order]) async throws(OrderStoreError) -> [RecordOutcome] {
    try await record(orders, as: .sold, rejecting: true)
  }

  /// Closes the store after `body`, whatever becomes of it.
  public func closing<Result>(after body: () async throws -> Result) async throws -> Result {
    do {
      let result = try await body()
      await close()
      return result
    } catch {
      await close()
      throw error
    }
  }
}

/// How a store writes orders of a hot product.
public enum HotRowStrategy: String, Hashable, Sendable, CaseIterable {
  /// A transaction an order.
  case rowLock
  /// A batch of orders is one transaction: one decrement per product, one commit. A batch that fails is bisected.
  case groupCommit
  /// A transaction an order, which the engine commits with the decrement, or rolls back where the stock is short: for
  /// engines that know Alibaba Cloud's inventory hints. On others the store does what the hint would have done.
  case inventoryHint
}
