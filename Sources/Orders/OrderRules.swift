import Stock

// The rules that all stores keep, written once.

extension OrderState {
  /// Whether an order in this state has taken its units.
  package var takesStock: Bool {
    switch self {
    case .held, .sold: true
    case .cancelled, .rejected: false
    }
  }

  /// Held < sold < cancelled; rejected is final.
  package func precedes(_ later: OrderState) -> Bool {
    switch (self, later) {
    case (.held, .sold), (.held, .cancelled), (.sold, .cancelled): true
    case (.held, .held), (.held, .rejected), (.sold, _), (.cancelled, _), (.rejected, _): false
    }
  }

  /// As ``precedes(_:)``; a repair may also take an order back whose units its bucket does not have.
  package func mayBeRepaired(to later: OrderState) -> Bool {
    precedes(later) || (takesStock && later == .rejected)
  }
}

extension StoredOrder {
  package func isSamePurchase(as other: Order) -> Bool {
    order.purchase == other.purchase && order.bucket == other.bucket
  }
}

extension Sale {
  /// - Throws: `refused` for a sale that no store takes.
  package func checkBounds() throws(OrderStoreError) {
    func require(_ name: String, _ value: Int64, in bounds: ClosedRange<Int64>) throws(OrderStoreError) {
      guard !bounds.contains(value) else { return }
      let bound = "\(bounds.lowerBound) to \(bounds.upperBound)"
      throw OrderStoreError(.refused, "\(name) of the sale of \(sku) is \(value); it must be \(bound)")
    }
    try require("stock", stock, in: 0...StockLimits.quantityMax)
    try require("buckets", Int64(terms.buckets), in: 1...16_384)
    try require("limit", terms.limit, in: 0...Int64.max)
    try require("opens", terms.opensMs, in: 0...Int64.max)
    try require("closes", terms.closesMs, in: 0...Int64.max)
  }

  /// - Throws: `refused` for terms that no sale can have.
  package static func checkTerms(
    of sku: SKU,
    limit: Int64?,
    opensMs: Int64?,
    closesMs: Int64?
  ) throws(OrderStoreError) {
    for (name, value) in [("limit", limit), ("opens", opensMs), ("closes", closesMs)] {
      guard let value, value < 0 else { continue }
      throw OrderStoreError(.refused, "\(name) of the sale of \(sku) is \(value); it must be 0 or more")
    }
  }

  /// - Throws: `refused` where the sale is not decided in the database.
  package func requireDatabasePath() throws(OrderStoreError) {
    try path.requireDatabase(sku)
  }
}

extension SalePath {
  package func requireDatabase(_ sku: SKU) throws(OrderStoreError) {
    guard self == .database else {
      throw OrderStoreError(
        .refused,
        "the sale of \(sku) is on the path \(rawValue), where buckets decide; it must be on the path database"
      )
    }
  }
}

extension LogBatch {
  /// - Throws: `refused` for a batch with gaps, or with orders of another bucket: its maker's mistake.
  package func validate() throws(OrderStoreError) {
    var sequence = from.sequence
    for step in steps {
      guard sequence < Int64.max, step.sequence == sequence + 1 else {
        throw OrderStoreError(.refused, "the log of \(bucket) has event \(step.sequence) after \(sequence)")
      }
      sequence = step.sequence
      guard case .purchased(let order, _, _) = step.entry else { continue }
      guard order.purchase.sku == bucket.sku, order.bucket == bucket.index else {
        let other = BucketID(sku: order.purchase.sku, index: order.bucket)
        throw OrderStoreError(.refused, "event \(sequence) of the log of \(bucket) has an order of \(other)")
      }
    }
  }
}

package enum StoreBounds {
  /// Rows of one page, and holds of one sweep.
  package static let pageMax = 10_000

  package static func page(_ limit: Int) -> Int { min(max(limit, 1), pageMax) }

  /// - Throws: `refused` for a restock beyond 2^53.
  package static func checkRestock(_ sku: SKU, quantity: Int64) throws(OrderStoreError) {
    guard quantity.magnitude <= UInt64(StockLimits.quantityMax) else {
      throw OrderStoreError(.refused, "restock of \(sku) is \(quantity); it must be -2^53 to 2^53")
    }
  }

  /// - Throws: `refused` for a position that no log has.
  package static func checkPosition(_ position: LogPosition, of bucket: BucketID) throws(OrderStoreError) {
    guard position.sequence < 0 else { return }
    throw OrderStoreError(.refused, "the position of \(bucket) is \(position.sequence); it must be 0 or more")
  }

  /// - Throws: `refused` for a worker's name or a lease outside its bounds.
  package static func checkClaim(worker: String, leaseMs: Int64) throws(OrderStoreError) {
    guard (1...64).contains(worker.utf8.count) else {
      throw OrderStoreError(.refused, "the worker's name has \(worker.utf8.count) bytes; it must have 1 to 64")
    }
    guard (1...3_600_000).contains(leaseMs) else {
      throw OrderStoreError(.refused, "the lease is \(leaseMs) ms; it must be 1 to 3600000")
    }
  }

  /// - Throws: `refused` for a hold outside its bounds.
  package static func checkHold(_ sku: SKU, holdMs: Int64?) throws(OrderStoreError) {
    guard let holdMs, !(1...StockLimits.quantityMax).contains(holdMs) else { return }
    throw OrderStoreError(.refused, "the hold on \(sku) is \(holdMs) ms; it must be 1 to 2^53")
  }
}

extension SaleTotals {
  /// The stock that a product must have by its rows; negative where they hold more units than were put on sale.
  package func stock(of sale: Sale) -> Int64 {
    sale.stock + restocked - (units[.held] ?? 0) - (units[.sold] ?? 0)
  }
}
