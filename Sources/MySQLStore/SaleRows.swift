import Orders
import Stock

/// Sales, with their products and buckets; and restocks.
extension Connection {
  private static let saleColumns = "sku, stock, buckets, purchase_limit, opens_ms, closes_ms, path, created_at"
  private static let selectSales = "SELECT \(saleColumns), servers FROM sales LEFT JOIN sale_servers USING (sku)"
  private static let saleKinds: [RowBatch.Kind] = [
    .bytes, .integer, .integer, .integer, .integer, .integer, .bytes, .integer, .bytes,
  ]

  func create(_ sale: Sale) throws(OrderStoreError) -> Sale {
    try transaction("creating the sale of \(sale.sku)") { _ in
      // Of several that find none, one inserts it and the others try again.
      if let known = try self.sale(sale.sku) { return (known, .rollBack) }
      let (sku, terms) = (sale.sku.value, sale.terms)
      try execute("INSERT INTO products (sku, stock) VALUES (?, ?)", sku, .integer(sale.stock))
      try execute(
        "INSERT INTO sales (\(Self.saleColumns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        sku,
        .integer(sale.stock),
        .integer(Int64(terms.buckets)),
        .integer(terms.limit),
        .integer(terms.opensMs),
        .integer(terms.closesMs),
        .text(sale.path.rawValue),
        .integer(sale.createdAtMs)
      )
      if let servers = sale.servers {
        try execute("INSERT INTO sale_servers (sku, servers) VALUES (?, ?)", sku, .text(servers))
      }
      var buckets = RowBatch([.bytes, .integer, .integer], capacity: terms.buckets)
      for index in 0..<terms.buckets {
        buckets.put(utf8: sale.sku.text, 0)
        buckets.put(Int64(index), 1)
        buckets.put(sale.share(of: sale.stock, bucket: index), 2)
        buckets.endRow()
      }
      try insert("INSERT INTO buckets (sku, bucket, share)", buckets)
      return (sale, .commit)
    }
  }

  /// Nothing changes where it is another sale, or where something came of it.
  func undoCreate(_ sale: Sale) throws(OrderStoreError) {
    try transaction("undoing the creation of \(sale.sku)") { _ in
      _ = try lockStocks(of: [sale.sku])
      guard try self.sale(sale.sku) == sale else { return ((), .rollBack) }
      let sku = sale.sku.value
      for table in ["log_positions", "orders", "restocks"] {
        let used = try query("SELECT 1 FROM \(table) WHERE sku = ? LIMIT 1", [sku], [.integer]) { $0.integer(0) }
        guard used.isEmpty else { return ((), .rollBack) }
      }
      for table in ["bucket_leases", "sale_workers", "buckets", "sale_servers", "sales", "products"] {
        try execute("DELETE FROM \(table) WHERE sku = ?", sku)
      }
      return ((), .commit)
    }
  }

  func sale(_ sku: SKU, forUpdate: Bool = false) throws -> Sale? {
    let lock = forUpdate ? " FOR UPDATE" : ""
    return try query(
      "\(Self.selectSales) WHERE sku = ?\(lock)",
      [sku.value],
      Self.saleKinds,
      Self.sale
    ).first
  }

  func sales() throws -> [Sale] {
    try query("\(Self.selectSales) ORDER BY sku", [], Self.saleKinds, Self.sale)
  }

  private static func sale(_ row: RowReader) throws -> Sale {
    guard let sku = try? SKU(row.text(0)), let path = SalePath(rawValue: row.text(6)) else {
      throw OrderStoreError(
        .corrupt,
        "the sale of '\(row.text(0))' has a SKU or path ('\(row.text(6))') that no sale can have"
      )
    }
    return Sale(
      sku: sku,
      stock: row.integer(1),
      terms: SaleTerms(
        buckets: Int(row.integer(2)),
        limit: row.integer(3),
        opensMs: row.integer(4),
        closesMs: row.integer(5)
      ),
      path: path,
      createdAtMs: row.integer(7),
      servers: row.isNull(8) ? nil : row.text(8)
    )
  }

  /// The product's row is changed too: whoever sells on terms that he read before finds that they are not its own any more.
  func reschedule(_ sku: SKU, limit: Int64?, opensMs: Int64?, closesMs: Int64?) throws(OrderStoreError) {
    try transaction("rescheduling the sale of \(sku)") { _ in
      let known = try execute("UPDATE products SET terms_version = terms_version + 1 WHERE sku = ?", sku.value)
      guard known == 1, try sale(sku) != nil else {
        throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)")
      }
      try execute(
        """
        UPDATE sales SET purchase_limit = IFNULL(?, purchase_limit), opens_ms = IFNULL(?, opens_ms),
          closes_ms = IFNULL(?, closes_ms)
        WHERE sku = ?
        """,
        .optional(limit),
        .optional(opensMs),
        .optional(closesMs),
        sku.value
      )
      return ((), .commit)
    }
  }
}

/// Restocks, each with its effect on the product's stock.
extension Connection {
  func restock(_ sku: SKU, token: Token, quantity: Int64) throws(OrderStoreError) -> RestockOutcome {
    try transaction("restocking \(sku)") { _ in
      guard let stock = try lockStocks(of: [sku])[sku], let totals = try totals(of: sku) else {
        return (.unknownProduct, .rollBack)
      }
      if let known = try restock(sku, token) {
        return (known == quantity ? .alreadyRecorded : .mismatch(quantity: known), .rollBack)
      }
      guard stock >= -quantity else { return (.short(stock: stock), .rollBack) }
      // All units may come back on sale: their total is bounded, not only the stock of this moment.
      let units = stock + (totals.units[.held] ?? 0) + (totals.units[.sold] ?? 0)
      guard units + quantity <= StockLimits.quantityMax else {
        throw OrderStoreError(
          .refused,
          "restock of \(sku) is \(quantity); with the \(units) units there it exceeds 2^53"
        )
      }
      try execute(
        "INSERT INTO restocks (sku, token, quantity) VALUES (?, ?, ?)",
        sku.value,
        token.value,
        .integer(quantity)
      )
      try execute("UPDATE products SET stock = stock + ? WHERE sku = ?", .integer(quantity), sku.value)
      return (.recorded, .commit)
    }
  }

  func undoRestock(_ sku: SKU, token: Token) throws(OrderStoreError) {
    try transaction("undoing a restock of \(sku)") { _ in
      let stock = try lockStocks(of: [sku])[sku]
      guard let quantity = try restock(sku, token) else { return ((), .rollBack) }
      guard let stock else { throw OrderStoreError(.unknownProduct, "there is no product \(sku)") }
      guard stock >= quantity else {
        throw OrderStoreError(
          .refused,
          "restock of \(sku) by \(quantity) can't be undone: only \(stock) units are unsold"
        )
      }
      try execute("DELETE FROM restocks WHERE sku = ? AND token = ?", sku.value, token.value)
      try execute("UPDATE products SET stock = stock - ? WHERE sku = ?", .integer(quantity), sku.value)
      return ((), .commit)
    }
  }

  private func restock(_ sku: SKU, _ token: Token) throws -> Int64? {
    try query(
      "SELECT quantity FROM restocks WHERE sku = ? AND token = ?",
      [sku.value, token.value],
      [.integer]
    ) { $0.integer(0) }.first
  }

  func restocks(of sku: SKU, after token: Token?, limit: Int) throws -> [StoredRestock] {
    try query(
      "SELECT token, quantity FROM restocks WHERE sku = ? AND token > ? ORDER BY token LIMIT ?",
      [sku.value, .bytes(token?.bytes ?? []), .integer(Int64(StoreBounds.page(limit)))],
      [.bytes, .integer]
    ) { row in
      guard let token = try? Token(bytes: row.bytes(0)) else {
        throw OrderStoreError(.corrupt, "a restock of \(sku) has a token that none can have")
      }
      return StoredRestock(token: token, quantity: row.integer(1))
    }
  }
}
