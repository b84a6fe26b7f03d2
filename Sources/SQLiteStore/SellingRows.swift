import Foundation
import GRDB
import OrderBatching
import Orders
import Stock

/// A sale that can't be sold so is its caller's fault alone, and not its neighbours'.
typealias SellingWriter = OrderBatcher<SellAttempt, Result<SellOutcome, OrderStoreError>, Database>

extension OrderBatcher
where Item == SellAttempt, Outcome == Result<SellOutcome, OrderStoreError>, Access == Database {
  convenience init(_ pool: DatabasePool, path: String, strategy: HotRowStrategy) {
    self.init(
      pool,
      path: path,
      strategy: strategy,
      while: { count in "selling to \(count) buyers" },
      write: { attempts, db in try SellingRows(db: db).sell(attempts) },
      refuse: { _, error in .failure(error) }
    )
  }
}

/// Sales that the database decides, inside one transaction.
struct SellingRows {
  let db: Database

  func sell(_ attempts: ArraySlice<SellAttempt>) throws -> [Result<SellOutcome, OrderStoreError>] {
    var outcomes: [Int: Result<SellOutcome, OrderStoreError>] = [:]
    for (sku, places) in Dictionary(grouping: attempts.indices, by: { attempts[$0].purchase.sku }) {
      let answers = try sell(sku, places.map { attempts[$0] })
      for (place, answer) in zip(places, answers) { outcomes[place] = answer }
    }
    return attempts.indices.compactMap { outcomes[$0] }
  }

  private func sell(_ sku: SKU, _ attempts: [SellAttempt]) throws -> [Result<SellOutcome, OrderStoreError>] {
    guard let sale = try SaleRows.fetch(sku, db: db) else { return attempts.map { _ in .success(.unknownProduct) } }
    do throws(OrderStoreError) {
      try sale.requireDatabasePath()
    } catch {
      return attempts.map { _ in .failure(error) }
    }
    var book = try load(sale, attempts)
    var outcomes = book.decide(attempts)
    if outcomes.contains(where: \.lacksUnits) {
      let nowMs = attempts.map(\.nowMs).max() ?? 0
      if try expire(sku, nowMs: nowMs, limit: StoreBounds.pageMax) > 0 {
        book = try load(sale, attempts)
        outcomes = book.decide(attempts)
      }
    }
    try write(book, sku)
    return outcomes.map { .success($0) }
  }

  private func load(_ sale: Sale, _ attempts: [SellAttempt]) throws -> SellingBook {
    let sku = sale.sku
    let stock = try SaleRows.stock(of: sku, db: db)
    var units: [UserID: Int64] = [:]
    for user in Set(attempts.map(\.purchase.user)) { units[user] = try BuyerRows.units(sku, user, db: db) }
    return SellingBook(
      terms: sale.terms,
      stock: stock ?? 0,
      orders: try AuditRows.orders(of: sku, tokens: attempts.map(\.purchase.token), db: db),
      units: units
    )
  }

  private func write(_ book: SellingBook, _ sku: SKU) throws {
    guard !book.made.isEmpty else { return }
    let rows = try OrderRows(db: db)
    let hold = try db.cachedStatement(sql: "INSERT INTO holds (sku, token, expires_at) VALUES (?, ?, ?)")
    for made in book.made {
      guard try rows.insert(made.order, as: made.state) else {
        throw DatabaseError(resultCode: .SQLITE_CONSTRAINT, message: "an order came up in the midst of its sale")
      }
      guard let expires = made.expiresAtMs else { continue }
      try hold.execute(arguments: [sku.text, Data(made.order.purchase.token.bytes), expires])
    }
    for (user, units) in book.taken { try BuyerRows.change(sku, user, by: units, db: db) }
    let sold = book.made.reduce(0) { $0 + $1.order.purchase.quantity }
    try changeStock(sku, by: -sold)
  }

  func confirm(_ sku: SKU, token: Token, nowMs: Int64) throws -> ConfirmOrderOutcome {
    try requirePath(sku)
    guard let stored = try OrderRows.fetch(sku, token: token, db: db) else { return .unknownToken }
    switch stored.state {
    case .held where stored.isDue(nowMs):
      try release(stored)
      return .cancelled
    case .held:
      try setState(stored, .sold)
      return .confirmed
    case .sold: return .alreadySold
    case .cancelled, .rejected: return .cancelled
    }
  }

  func cancel(_ sku: SKU, token: Token) throws -> CancelOutcome {
    try requirePath(sku)
    guard let stored = try OrderRows.fetch(sku, token: token, db: db) else { return .unknownToken }
    guard stored.state.takesStock else { return .alreadyCancelled }
    try release(stored)
    return .cancelled
  }

  func expire(_ sku: SKU, nowMs: Int64, limit: Int) throws -> Int {
    let statement = try db.cachedStatement(
      sql: "SELECT token FROM holds WHERE sku = ? AND expires_at <= ? ORDER BY expires_at LIMIT ?"
    )
    let tokens = try Data.fetchAll(statement, arguments: [sku.text, nowMs, StoreBounds.page(limit)])
    var expired = 0
    for bytes in tokens {
      guard let token = try? Token(bytes: Array(bytes)), let stored = try OrderRows.fetch(sku, token: token, db: db),
        stored.state == .held
      else {
        try db.execute(sql: "DELETE FROM holds WHERE sku = ? AND token = ?", arguments: [sku.text, bytes])
        continue
      }
      try release(stored)
      expired += 1
    }
    return expired
  }

  private func requirePath(_ sku: SKU) throws {
    guard let sale = try SaleRows.fetch(sku, db: db) else {
      throw OrderStoreError(.unknownProduct, "there is no sale of \(sku)")
    }
    try sale.requireDatabasePath()
  }

  /// A held or sold order gives its units back.
  private func release(_ stored: StoredOrder) throws {
    let purchase = stored.order.purchase
    try setState(stored, .cancelled)
    try BuyerRows.change(purchase.sku, purchase.user, by: -purchase.quantity, db: db)
    try changeStock(purchase.sku, by: purchase.quantity)
  }

  private func setState(_ stored: StoredOrder, _ state: OrderState) throws {
    let purchase = stored.order.purchase
    let key: [any DatabaseValueConvertible] = [purchase.sku.text, Data(purchase.token.bytes)]
    let order = try db.cachedStatement(sql: "UPDATE orders SET state = ? WHERE sku = ? AND token = ?")
    try order.execute(arguments: [state.rawValue] + StatementArguments(key))
    guard stored.state == .held else { return }
    let hold = try db.cachedStatement(sql: "DELETE FROM holds WHERE sku = ? AND token = ?")
    try hold.execute(arguments: StatementArguments(key))
  }

  private func changeStock(_ sku: SKU, by units: Int64) throws {
    let statement = try db.cachedStatement(sql: "UPDATE products SET stock = stock + ? WHERE sku = ?")
    try statement.execute(arguments: [units, sku.text])
  }
}

/// Units held and sold by buyer, of sales on the path `database`.
enum BuyerRows {
  static func units(_ sku: SKU, _ user: UserID, db: Database) throws -> Int64 {
    let statement = try db.cachedStatement(sql: "SELECT units FROM buyers WHERE sku = ? AND user = ?")
    return try Int64.fetchOne(statement, arguments: [sku.text, Data(user.bytes)]) ?? 0
  }

  static func change(_ sku: SKU, _ user: UserID, by units: Int64, db: Database) throws {
    let statement = try db.cachedStatement(
      sql: """
        INSERT INTO buyers (sku, user, units) VALUES (?, ?, ?)
        ON CONFLICT (sku, user) DO UPDATE SET units = units + excluded.units
        """
    )
    try statement.execute(arguments: [sku.text, Data(user.bytes), units])
  }

  /// - Returns: whether anything differed from the orders.
  static func recount(_ sku: SKU, db: Database) throws -> Bool {
    let kept = "SELECT user, units FROM buyers WHERE sku = ? AND units <> 0"
    let counted = """
      SELECT user, sum(quantity) AS units FROM orders WHERE sku = ? AND state IN ('held', 'sold') GROUP BY user
      """
    let differ = try Bool.fetchOne(
      db,
      sql: """
        SELECT EXISTS (SELECT * FROM (\(kept)) EXCEPT SELECT * FROM (\(counted)))
          OR EXISTS (SELECT * FROM (\(counted)) EXCEPT SELECT * FROM (\(kept)))
        """,
      arguments: [sku.text, sku.text, sku.text, sku.text]
    )
    guard differ == true else { return false }
    try db.execute(sql: "DELETE FROM buyers WHERE sku = ?", arguments: [sku.text])
    try db.execute(
      sql: "INSERT INTO buyers (sku, user, units) SELECT ?, user, units FROM (\(counted))",
      arguments: [sku.text, sku.text]
    )
    return true
  }
}
