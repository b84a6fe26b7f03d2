import Orders
import Stock

/// Holds a sale's buckets against its database while the sale goes on and, where it is told to, mends what differs.
///
/// The order of its steps is the repairs': first the stock and the units that all else needs, then the orders' purchases,
/// then the purchases' orders, so that nobody is refused units that are only miscounted.
struct Reconciler {
  let access: SaleAccess
  let repairs: Bool
  /// A held purchase that young may still get its order.
  let overdue: Duration
  /// How long a cart's holds last.
  let cartHold: Duration
  let progress: @Sendable (BooksProgress) -> Void
  var report: Reconciliation
  var sums: [Int: BucketSums] = [:]

  init(
    _ access: SaleAccess,
    repairs: Bool,
    overdue: Duration,
    cartHold: Duration,
    progress: @escaping @Sendable (BooksProgress) -> Void
  ) {
    self.access = access
    self.repairs = repairs
    self.overdue = overdue
    self.cartHold = cartHold
    self.progress = progress
    report = Reconciliation(sku: access.sku)
  }

  /// - Throws: ``DoorbusterError`` `bucketLost`, `bucketFrozen` where there is something to recover first; `stock`, `orders`.
  mutating func run() async throws(DoorbusterError) -> Reconciliation {
    do throws(DoorbusterError) {
      try await compare()
    } catch {
      if error.hasStockCode(.epochMismatch) || error.hasStockCode(.logAhead) || error.isNoBucket {
        throw .bucketLost(access.sku, "a server lost data while the books were compared: \(error.message)")
      }
      throw error
    }
    return report
  }

  private mutating func compare() async throws(DoorbusterError) {
    let stock = try await persistentStockDifference()
    if repairs { try await recountQuietly() }
    if access.sale.path != .database {
      try await requireBuckets()
      try await checkTerms()
      try await checkTransfers()
      try await checkUnitsOnSale()
      try await takeCuts()
      try await compareOrders()
      if repairs { try await recountQuietly() }
      try await compareLogs()
      try await checkSums()
    }
    guard let stock else { return }
    var outcome = BooksFinding.Outcome.reported
    if repairs {
      try await recountQuietly()
      let rest = try await stockDifference()
      outcome = rest == nil ? .repaired : .left("its rows hold more units than were put on sale")
    }
    add(.databaseStock(stock: stock.stock, byRows: stock.byRows), .database, outcome)
  }

  mutating func add(
    _ subject: BooksFinding.Subject,
    _ direction: BooksFinding.Direction,
    _ outcome: BooksFinding.Outcome
  ) {
    report.add(
      BooksFinding(subject, repair: direction, outcome: outcome),
      keeping: access.settings.findingsMax
    )
  }

  func show(_ step: String, _ done: Int64, of total: Int64?) {
    progress(BooksProgress(step: step, done: done, total: total, findings: report.found))
  }

  // MARK: Buckets

  private func requireBuckets() async throws(DoorbusterError) {
    let positions = try await access.positions()
    for (index, info) in try await access.infos().enumerated() {
      let bucket = access.bucket(index)
      guard let info else { throw .bucketLost(access.sku, "bucket \(bucket) is gone") }
      switch info.frozen {
      case .create, .load, .promotion:
        throw DoorbusterError(
          .bucketFrozen,
          "bucket \(bucket) is frozen (\(info.frozen?.rawValue ?? "no")) until it is complete: a worker sees to it, or run recover \(access.sku)"
        )
      case .operator, nil: break
      }
      guard let position = positions[index] else {
        throw DoorbusterError(
          .saleIncomplete,
          "bucket \(bucket) was never set up; create the sale again to complete it"
        )
      }
      guard position.epoch == info.epoch, position.sequence <= info.logLast else {
        throw .bucketLost(access.sku, "bucket \(bucket) is another one than the database has followed, or lacks events")
      }
    }
  }

  // MARK: The database's stock

  /// The stock, and what the orders themselves make of it, where they differ. Kept totals don't count here: an edit by hand
  /// may have passed them by.
  private func stockDifference() async throws(DoorbusterError) -> (stock: Int64, byRows: Int64)? {
    let counted = try await access.countedTotals().counted
    let byRows = counted.stock(of: access.sale)
    return counted.stock == byRows ? nil : (counted.stock, byRows)
  }

  /// A difference that two readings agree on: orders come in between.
  private func persistentStockDifference() async throws(DoorbusterError) -> (stock: Int64, byRows: Int64)? {
    guard var last = try await stockDifference() else { return nil }
    for _ in 0..<20 {
      try await access.wait(access.settings.settle)
      guard let next = try await stockDifference() else { return nil }
      if next.stock - next.byRows == last.stock - last.byRows { return next }
      last = next
    }
    return last
  }

  private func recountQuietly() async throws(DoorbusterError) {
    let totals = try await access.countedTotals()
    guard totals.kept != totals.counted || totals.counted.stock != totals.counted.stock(of: access.sale) else { return }
    _ = try await access.repair(.recount(access.sku))
  }
}

extension DoorbusterError {
  static func bucketLost(_ sku: SKU, _ why: String) -> DoorbusterError {
    DoorbusterError(.bucketLost, "\(why): run recover \(sku)")
  }
}
