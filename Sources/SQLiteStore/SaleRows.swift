import GRDB
import Orders
import Stock

/// Sales, with their products and buckets.
enum SaleRows {
  private static let columns = "sku, stock, buckets, purchase_limit, opens_ms, closes_ms, path, created_at"
  private static let select = "SELECT \(columns), servers FROM sales LEFT JOIN sale_servers USING (sku)"

  static func create(_ sale: Sale, db: Database) throws -> Sale {
    if let known = try fetch(sale.sku, db: db) { return known }
    let (sku, terms) = (sale.sku.text, sale.terms)
    try db.execute(sql: "INSERT INTO products (sku, stock) VALUES (?, ?)", arguments: [sku, sale.stock])
    try db.execute(
      sql: "INSERT INTO sales (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      arguments: [
        sku, sale.stock, terms.buckets, terms.limit, terms.opensMs, terms.closesMs, sale.path.rawValue,
        sale.createdAtMs,
      ]
    )
    if let servers = sale.servers {
      try db.execute(sql: "INSERT INTO sale_servers (sku, servers) VALUES (?, ?)", arguments: [sku, servers])
    }
    for index in 0..<terms.buckets {
      let statement = try db.cachedStatement(sql: "INSERT INTO buckets (sku, bucket, share) VALUES (?, ?, ?)")
      try statement.execute(arguments: [sku, index, sale.share(of: sale.stock, bucket: index)])
    }
    return sale
  }

  /// Nothing changes where it is another sale, or where something came of it.
  static func remove(_ sale: Sale, db: Database) throws {
    guard try fetch(sale.sku, db: db) == sale else { return }
    let sku = sale.sku.text
    for table in ["log_positions", "orders", "restocks"] {
      let isUsed = try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM \(table) WHERE sku = ?)", arguments: [sku])
      guard isUsed == false else { return }
    }
    for table in ["bucket_leases", "sale_workers", "buckets", "sale_servers", "sales", "products"] {
      try db.execute(sql: "DELETE FROM \(table) WHERE sku = ?", arguments: [sku])
    }
  }

  static func fetch(_ sku: SKU, db: Database) throws -> Sale? {
    let statement = try db.cachedStatement(sql: "\(select) WHERE sku = ?")
    return try Row.fetchOne(statement, arguments: [sku.text]).map(sale)
  }

  static func fetchAll(db: Database) throws -> [Sale] {
    try Row.fetchAll(db, sql: "\(select) ORDER BY sku").map(sale)
  }

  private static func sale(_ row: Row) throws -> Sale {
    let (sku, path): (String, String) = (row[0], row[6])
    guard let name = try? SKU(sku), let salePath = SalePath(rawValue: path) else {
      throw OrderStoreError(.corrupt, "the sale of '\(sku)' has a SKU or path ('\(path)') that no sale can have")
    }
    return Sale(
      sku: name,
      stock: row[1],
      terms: SaleTerms(buckets: row[2], limit: row[3], opensMs: row[4], closesMs: row[5]),
      path: salePath,
      createdAtMs: row[7],
      servers: row[8]
    )
  }

  static func reschedule(_ sku: SKU, limit: Int64?, opensMs: Int64?, closesMs: Int64?, db: Database) throws {
    try db.execute(
      sql: """
        UPDATE sales SET purchase_limit = ifnull(?, purchase_limit), opens_ms = ifnull(?, opens_ms),
          closes_ms = ifnull(?, closes_ms)
        WHERE sku = ?
        """,
      arguments: [limit, opensMs, closesMs, sku.text]
    )
    if db.changesCount == 0 { throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)") }
  }

  static func stock(of sku: SKU, db: Database) throws -> Int64? {
    let statement = try db.cachedStatement(sql: "SELECT stock FROM products WHERE sku = ?")
    return try Int64.fetchOne(statement, arguments: [sku.text])
  }

  static func totals(of sku: SKU, db: Database) throws -> SaleTotals? {
    let product = try db.cachedStatement(
      sql: """
        SELECT stock, (SELECT ifnull(sum(quantity), 0) FROM restocks WHERE restocks.sku = products.sku)
        FROM products WHERE sku = ?
        """
    )
    guard let row = try Row.fetchOne(product, arguments: [sku.text]) else { return nil }
    var totals = SaleTotals(stock: row[0], orders: [:], units: [:], restocked: row[1])
    let states = try db.cachedStatement(
      sql: "SELECT state, orders, units FROM order_totals WHERE sku = ? AND orders > 0"
    )
    let rows = try Row.fetchCursor(states, arguments: [sku.text])
    while let row = try rows.next() {
      guard let state = OrderState(rawValue: row[0]) else { continue }
      totals.orders[state] = row[1]
      totals.units[state] = row[2]
    }
    return totals
  }

  /// The same totals with what the orders make of them.
  static func counted(_ kept: SaleTotals, of sku: SKU, db: Database) throws -> SaleTotals {
    var counted = SaleTotals(stock: kept.stock, orders: [:], units: [:], restocked: kept.restocked)
    let sums = try Row.fetchAll(
      db,
      sql: "SELECT state, count(*), sum(quantity) FROM orders WHERE sku = ? GROUP BY state",
      arguments: [sku.text]
    )
    for row in sums {
      guard let state = OrderState(rawValue: row[0]) else { continue }
      (counted.orders[state], counted.units[state]) = (row[1], row[2])
    }
    return counted
  }
}
