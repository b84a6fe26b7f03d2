import Foundation
import GRDB
import Orders
import Stock

/// Restocks, each with its effect on the product's stock.
enum RestockRows {
  static func add(_ sku: SKU, token: Token, quantity: Int64, db: Database) throws -> RestockOutcome {
    guard let totals = try SaleRows.totals(of: sku, db: db) else { return .unknownProduct }
    if let known = try fetch(sku, token: token, db: db) {
      return known == quantity ? .alreadyRecorded : .mismatch(quantity: known)
    }
    guard totals.stock >= -quantity else { return .short(stock: totals.stock) }
    // All units may come back on sale: their total is bounded, not only the stock of this moment.
    let units = totals.stock + (totals.units[.held] ?? 0) + (totals.units[.sold] ?? 0)
    guard units + quantity <= StockLimits.quantityMax else {
      throw OrderStoreError(.refused, "restock of \(sku) is \(quantity); with the \(units) units there it exceeds 2^53")
    }
    try db.execute(
      sql: "INSERT INTO restocks (sku, token, quantity) VALUES (?, ?, ?)",
      arguments: [sku.text, Data(token.bytes), quantity]
    )
    try changeStock(of: sku, by: quantity, db: db)
    return .recorded
  }

  /// Nothing changes where there is no such restock.
  static func remove(_ sku: SKU, token: Token, db: Database) throws {
    guard let quantity = try fetch(sku, token: token, db: db) else { return }
    let stock = try Int64.fetchOne(db, sql: "SELECT stock FROM products WHERE sku = ?", arguments: [sku.text])
    guard let stock else { throw OrderStoreError(.unknownProduct, "there is no product \(sku)") }
    guard stock >= quantity else {
      throw OrderStoreError(
        .refused,
        "restock of \(sku) by \(quantity) can't be undone: only \(stock) units are unsold"
      )
    }
    try db.execute(
      sql: "DELETE FROM restocks WHERE sku = ? AND token = ?",
      arguments: [sku.text, Data(token.bytes)]
    )
    try changeStock(of: sku, by: -quantity, db: db)
  }

  private static func fetch(_ sku: SKU, token: Token, db: Database) throws -> Int64? {
    try Int64.fetchOne(
      db,
      sql: "SELECT quantity FROM restocks WHERE sku = ? AND token = ?",
      arguments: [sku.text, Data(token.bytes)]
    )
  }

  private static func changeStock(of sku: SKU, by units: Int64, db: Database) throws {
    try db.execute(sql: "UPDATE products SET stock = stock + ? WHERE sku = ?", arguments: [units, sku.text])
  }
}
