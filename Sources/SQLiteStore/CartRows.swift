import Foundation
import GRDB
import Logging
import OrderBatching
import Orders
import Stock

typealias CartWriter = OrderBatcher<CartRecording, CartRecordOutcome, Database>

extension OrderBatcher where Item == CartRecording, Outcome == CartRecordOutcome, Access == Database {
  convenience init(_ pool: DatabasePool, path: String, strategy: HotRowStrategy, logger: Logger) {
    self.init(
      pool,
      path: path,
      strategy: strategy,
      while: { count in "recording \(count) carts" },
      write: { recordings, db in try CartRows.record(recordings, db: db) },
      refuse: { _, error in
        logger.warning("The database refused a cart", metadata: ["error": "\(error)"])
        return .refused(error.message)
      }
    )
  }
}

/// Carts, inside one transaction.
enum CartRows {
  static func record(_ recordings: ArraySlice<CartRecording>, db: Database) throws -> [CartRecordOutcome] {
    let keys = Set(recordings.flatMap(\.keys))
    var stocks: [SKU: Int64] = [:]
    for sku in Set(keys.map(\.sku)) { stocks[sku] = try SaleRows.stock(of: sku, db: db) }
    var book = OrderBook(
      stocks: stocks,
      orders: try keys.compactMap { try OrderRows.fetch($0.sku, token: $0.token, db: db) },
      carts: try Set(recordings.map(\.key)).compactMap { try fetch($0, db: db) }
    )
    let outcomes = recordings.map { book.record($0) }
    try BookRows(db: db).write(book)
    return outcomes
  }

  static func insert(_ cart: StoredCart, db: Database) throws {
    let statement = try db.cachedStatement(
      sql: "INSERT INTO recorded_carts (sku, token, user, cart, state, created_at) VALUES (?, ?, ?, ?, ?, ?)"
    )
    try statement.execute(arguments: [
      cart.lead.text, Data(cart.token.bytes), Data(cart.user.bytes), cart.text, cart.state.rawValue,
      cart.createdAtMs,
    ])
  }

  private static func fetch(_ key: OrderBook.Key, db: Database) throws -> StoredCart? {
    let statement = try db.cachedStatement(
      sql: "SELECT user, cart, state, created_at FROM recorded_carts WHERE sku = ? AND token = ?"
    )
    guard let row = try Row.fetchOne(statement, arguments: [key.sku.text, Data(key.token.bytes)]) else { return nil }
    guard let state = CartState(rawValue: row[2]), let user = try? UserID(bytes: Array(row[0] as Data)) else {
      throw OrderStoreError(.corrupt, "a cart of \(key.sku) has no user or state that a cart can have")
    }
    return StoredCart(
      lead: key.sku,
      token: key.token,
      user: user,
      text: row[1],
      state: state,
      createdAtMs: row[3]
    )
  }
}
