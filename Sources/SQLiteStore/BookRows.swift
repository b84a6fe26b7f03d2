import Foundation
import GRDB
import Orders
import Stock

/// Writes what an order book has decided, inside the transaction that has read it.
struct BookRows {
  private let db: Database

  init(db: Database) { self.db = db }

  func write(_ book: OrderBook) throws {
    let rows = try OrderRows(db: db)
    for order in book.inserted where try !rows.insert(order.order, as: order.state) {
      throw DatabaseError(resultCode: .SQLITE_CONSTRAINT, message: "an order came up in the midst of its transaction")
    }
    for row in book.updated.map(\.after) {
      let (order, purchase) = (row.order, row.order.purchase)
      let statement = try db.cachedStatement(
        sql: """
          UPDATE orders SET user = ?, quantity = ?, bucket = ?, sequence = ?, created_at = ?, state = ?
          WHERE sku = ? AND token = ?
          """
      )
      try statement.execute(arguments: [
        Data(purchase.user.bytes), purchase.quantity, order.bucket, order.sequence, order.createdAtMs,
        row.state.rawValue, purchase.sku.text, Data(purchase.token.bytes),
      ])
    }
    for cart in book.recordedCarts { try CartRows.insert(cart, db: db) }
    for (sku, change) in book.changes where change.stock != 0 {
      try db.execute(
        sql: "UPDATE products SET stock = stock + ? WHERE sku = ?",
        arguments: [change.stock, sku.text]
      )
    }
  }
}
