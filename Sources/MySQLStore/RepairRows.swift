import Orders
import Stock

/// Repairs.
extension Connection {
  /// One transaction.
  func repair(_ repairs: ArraySlice<OrderRepair>) throws(OrderStoreError) -> [RepairOutcome] {
    try transaction("making \(repairs.count) repairs") { _ in
      let outcomes = try RepairRun.split(repairs).flatMap { run in
        switch run {
        case .together(let repairs): try repairTogether(repairs)
        case .recount(let sku): [try recount(sku)]
        }
      }
      return (outcomes, .commit)
    }
  }

  private func repairTogether(_ repairs: [OrderRepair]) throws -> [RepairOutcome] {
    let stocks = try lockStocks(of: repairs.lazy.map(\.sku))
    var paths: [SKU: SalePath] = [:]
    for sku in stocks.keys { paths[sku] = try sale(sku)?.path }
    var book = OrderBook(stocks: stocks, orders: try orders(of: repairs.compactMap(\.key), forUpdate: true))
    let outcomes = repairs.map { repair -> RepairOutcome in
      guard let path = paths[repair.sku] else { return .unknownProduct }
      return repair.refusal(on: path) ?? book.repair(repair)
    }
    try write(book)
    return outcomes
  }

  /// Whoever changes an order changes its product in the same transaction. So while the product is locked, the orders
  /// that can be seen are those that its row speaks of, and what is still on its way changes the row that we write.
  private func recount(_ sku: SKU) throws -> RepairOutcome {
    guard try lockStocks(of: [sku])[sku] != nil, let sale = try sale(sku), let totals = try countedTotals(of: sku)
    else {
      return .unknownProduct
    }
    let before = totals.kept
    var counted = totals.counted
    let stock = counted.stock(of: sale)
    counted.stock = max(0, stock)
    let buyersDiffer = sale.path == .database ? try recountBuyers(sku) : false
    if counted == before, !buyersDiffer { return stock < 0 ? .short(stock: stock) : .unchanged }
    try execute(
      "UPDATE products SET \(ProductSQL.assignments) WHERE sku = ?",
      with: [.integer(counted.stock)] + ProductSQL.parameters(counted.orders, counted.units) + [sku.value]
    )
    return stock < 0 ? .short(stock: stock) : .repaired
  }

  /// - Returns: whether anything differed from the orders.
  private func recountBuyers(_ sku: SKU) throws -> Bool {
    let counted =
      "SELECT user, SUM(quantity) AS units FROM orders WHERE sku = ? AND state IN ('held', 'sold') GROUP BY user"
    // A buyer whose units differ, or who is only here or only there.
    let differing =
      try query(
        """
        SELECT
          (SELECT COUNT(*) FROM (\(counted)) AS counted LEFT JOIN buyers ON buyers.sku = ? AND buyers.user = counted.user
            WHERE buyers.units IS NULL OR buyers.units <> counted.units)
          + (SELECT COUNT(*) FROM buyers LEFT JOIN (\(counted)) AS counted ON counted.user = buyers.user
            WHERE buyers.sku = ? AND buyers.units <> 0 AND counted.user IS NULL)
        """,
        [sku.value, sku.value, sku.value, sku.value],
        [.integer]
      ) { $0.integer(0) }.first ?? 0
    guard differing > 0 else { return false }
    try execute("DELETE FROM buyers WHERE sku = ?", sku.value)
    try execute(
      "INSERT INTO buyers (sku, user, units) SELECT ?, counted.user, counted.units FROM (\(counted)) AS counted",
      sku.value,
      sku.value
    )
    return true
  }
}
