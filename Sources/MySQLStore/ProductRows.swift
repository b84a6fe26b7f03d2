import Orders
import Stock

/// Products: the hot rows.
extension Connection {
  /// The stock of those products that are known, locked until the transaction's end. Always in the same order, so that
  /// no two transactions wait for each other.
  func lockStocks(of skus: some Sequence<SKU>) throws -> [SKU: Int64] {
    var stocks: [SKU: Int64] = [:]
    for sku in Set(skus).sorted(by: { $0.text < $1.text }) {
      let sql = "SELECT stock FROM products WHERE sku = ? FOR UPDATE"
      stocks[sku] = try query(sql, [sku.value], [.integer]) { $0.integer(0) }.first
    }
    return stocks
  }

  /// Changes a product's stock and totals.
  /// - Returns: false, with nothing changed, where it is unknown or has less than the change needs on its way.
  func apply(_ change: OrderBook.Change, to sku: SKU) throws(MySQLFailure) -> Bool {
    try execute(
      "UPDATE products SET \(ProductSQL.additions) WHERE sku = ? AND stock >= ?",
      with: ProductSQL.parameters(change) + [sku.value, .integer(-change.lowest)]
    ) == 1
  }

  /// In order of SKU.
  func apply(_ changes: [SKU: OrderBook.Change]) throws(MySQLFailure) -> Bool {
    for (sku, change) in changes.sorted(by: { $0.key.text < $1.key.text }) where !change.isNothing {
      guard try apply(change, to: sku) else { return false }
    }
    return true
  }

  func totals(of sku: SKU) throws -> SaleTotals? {
    try query(
      "SELECT \(ProductSQL.books) FROM products WHERE sku = ?",
      [sku.value],
      Array(repeating: .integer, count: 10)
    ) { row in SaleTotals(row, from: 2, stock: row.integer(0), restocked: row.integer(1)) }.first
  }

  /// By one statement, so that both are of one moment.
  func countedTotals(of sku: SKU) throws -> CountedTotals? {
    try query(
      """
      SELECT \(ProductSQL.books), \(ProductSQL.sums)
      FROM products LEFT JOIN (SELECT \(ProductSQL.counts) FROM orders WHERE sku = ?) AS counted ON TRUE
      WHERE products.sku = ?
      """,
      [sku.value, sku.value],
      Array(repeating: .integer, count: 18)
    ) { row in
      let (stock, restocked) = (row.integer(0), row.integer(1))
      return CountedTotals(
        kept: SaleTotals(row, from: 2, stock: stock, restocked: restocked),
        counted: SaleTotals(row, from: 10, stock: stock, restocked: restocked)
      )
    }.first
  }
}

extension SaleTotals {
  /// From two columns for each state. A state without orders is left out.
  fileprivate init(_ row: RowReader, from first: Int, stock: Int64, restocked: Int64) {
    self.init(stock: stock, orders: [:], units: [:], restocked: restocked)
    for (index, state) in OrderState.allCases.enumerated() where row.integer(first + 2 * index) != 0 {
      orders[state] = row.integer(first + 2 * index)
      units[state] = row.integer(first + 2 * index + 1)
    }
  }
}

/// The totals' columns, two for each state.
enum ProductSQL {
  private static let names = OrderState.allCases.flatMap { ["\($0.rawValue)_orders", "\($0.rawValue)_units"] }

  /// A product's stock, its restocks and its totals.
  static let books = """
    products.stock,
    (SELECT CAST(IFNULL(SUM(quantity), 0) AS SIGNED) FROM restocks WHERE restocks.sku = products.sku),
    \(names.map { "products.\($0)" }.joined(separator: ", "))
    """

  /// What the orders of one product make of the totals.
  static let counts = OrderState.allCases.flatMap { state in
    [
      "SUM(state = '\(state.rawValue)') AS \(state.rawValue)_orders",
      "SUM(IF(state = '\(state.rawValue)', quantity, 0)) AS \(state.rawValue)_units",
    ]
  }.joined(separator: ", ")

  static let sums = names.map { "CAST(IFNULL(counted.\($0), 0) AS SIGNED)" }.joined(separator: ", ")

  static let additions = (["stock"] + names).map { "\($0) = \($0) + ?" }.joined(separator: ", ")

  static let assignments = (["stock"] + names).map { "\($0) = ?" }.joined(separator: ", ")

  static func parameters(_ change: OrderBook.Change) -> [SQLValue] {
    [.integer(change.stock)] + parameters(change.orders, change.units)
  }

  static func parameters(_ orders: [OrderState: Int64], _ units: [OrderState: Int64]) -> [SQLValue] {
    OrderState.allCases.flatMap { [.integer(orders[$0] ?? 0), .integer(units[$0] ?? 0)] }
  }

  /// As text, for the one statement that is not prepared: numbers, and a SKU, whose grammar has no quotes.
  static func text(_ change: OrderBook.Change) -> String {
    var parts = [("stock", change.stock)]
    for state in OrderState.allCases {
      parts.append(("\(state.rawValue)_orders", change.orders[state] ?? 0))
      parts.append(("\(state.rawValue)_units", change.units[state] ?? 0))
    }
    return parts.filter { $0.1 != 0 }.map { "\($0) = \($0) + (\($1))" }.joined(separator: ", ")
  }
}
