import Foundation
import GRDB
import Orders
import Stock

/// Orders and restocks in pages, in order of their tokens.
enum AuditRows {
  static func orders(of sku: SKU, bucket: Int?, after token: Token?, limit: Int, db: Database) throws -> [StoredOrder] {
    // The key's index gives the order; an empty token comes before all.
    let statement = try db.cachedStatement(
      sql: """
        SELECT \(OrderRows.columns) FROM orders WHERE sku = ? AND token > ? AND (? IS NULL OR bucket = ?)
        ORDER BY token LIMIT ?
        """
    )
    let arguments: StatementArguments = [sku.text, Data(token?.bytes ?? []), bucket, bucket, StoreBounds.page(limit)]
    return try Row.fetchAll(statement, arguments: arguments).map { try OrderRows.order(of: sku, row: $0) }
  }

  static func orders(of sku: SKU, tokens: [Token], db: Database) throws -> [StoredOrder] {
    try tokens.compactMap { try OrderRows.fetch(sku, token: $0, db: db) }
  }

  static func restocks(of sku: SKU, after token: Token?, limit: Int, db: Database) throws -> [StoredRestock] {
    let rows = try Row.fetchAll(
      db,
      sql: "SELECT token, quantity FROM restocks WHERE sku = ? AND token > ? ORDER BY token LIMIT ?",
      arguments: [sku.text, Data(token?.bytes ?? []), StoreBounds.page(limit)]
    )
    return try rows.map { row in
      guard let token = try? Token(bytes: Array(row[0] as Data)) else {
        throw OrderStoreError(.corrupt, "a restock of \(sku) has a token that none can have")
      }
      return StoredRestock(token: token, quantity: row[1])
    }
  }
}
