import Foundation
import GRDB
import Orders
import Stock

/// The orders' part of one transaction: rows are written at once, each product's stock when it is settled.
///
/// The transaction holds the write lock from its beginning, so the stock read first and counted on here is exact, and
/// orders of one batch behave as if one came after the other.
struct OrderRows {
  private struct Stock {
    var atStart: Int64
    var now: Int64
  }

  private let db: Database
  private let insertion: Statement
  private var stocks: [SKU: Stock?] = [:]

  init(db: Database) throws {
    self.db = db
    insertion = try db.cachedStatement(
      sql: """
        INSERT INTO orders (sku, token, user, quantity, bucket, sequence, state, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
        """
    )
  }

  mutating func record(_ order: Order, as state: OrderState, rejecting: Bool = true) throws -> RecordOutcome {
    let purchase = order.purchase
    guard let stock = try stock(of: purchase.sku) else { return .unknownProduct }
    let takes = state.takesStock
    let isShort = takes && stock < purchase.quantity
    if isShort, !rejecting {
      guard let stored = try Self.fetch(purchase.sku, token: purchase.token, db: db) else {
        return .short(stock: stock)
      }
      return Self.compare(order, with: stored)
    }
    guard try insert(order, as: isShort ? .rejected : state) else { return try compare(order) }
    if takes, !isShort { change(purchase.sku, by: -purchase.quantity) }
    return isShort ? .rejected : .recorded
  }

  /// A product's stock at this point of the transaction; nil for an unknown product.
  mutating func stock(of sku: SKU) throws -> Int64? {
    if let known = stocks[sku] { return known?.now }
    let statement = try db.cachedStatement(sql: "SELECT stock FROM products WHERE sku = ?")
    let stock = try Int64.fetchOne(statement, arguments: [sku.text])
    stocks[sku] = .some(stock.map { Stock(atStart: $0, now: $0) })
    return stock
  }

  /// Only for a product whose stock was asked for, and is there.
  mutating func change(_ sku: SKU, by units: Int64) { stocks[sku]??.now += units }

  /// Writes the stock of every product that changed. Last in a transaction, or before others look at it.
  mutating func settle() throws {
    for case (let sku, let stock?) in stocks where stock.now != stock.atStart {
      let statement = try db.cachedStatement(sql: "UPDATE products SET stock = stock + ? WHERE sku = ?")
      try statement.execute(arguments: [stock.now - stock.atStart, sku.text])
    }
    stocks.removeAll(keepingCapacity: true)
  }

  /// - Returns: false where the token has an order.
  func insert(_ order: Order, as state: OrderState) throws -> Bool {
    let purchase = order.purchase
    insertion.setUncheckedArguments([
      purchase.sku.text, Data(purchase.token.bytes), Data(purchase.user.bytes), purchase.quantity, order.bucket,
      order.sequence, state.rawValue, order.createdAtMs,
    ])
    try insertion.execute()
    return db.changesCount == 1
  }

  private func compare(_ order: Order) throws -> RecordOutcome {
    guard let stored = try Self.fetch(order.purchase.sku, token: order.purchase.token, db: db) else {
      throw DatabaseError(resultCode: .SQLITE_CONSTRAINT, message: "an order was neither inserted nor found")
    }
    return Self.compare(order, with: stored)
  }

  private static func compare(_ order: Order, with stored: StoredOrder) -> RecordOutcome {
    stored.isSamePurchase(as: order) ? .alreadyRecorded(stored.state) : .conflict(stored)
  }

  static let columns = """
    token, user, quantity, bucket, sequence, state, created_at,
    CASE state WHEN 'held' THEN
      (SELECT expires_at FROM holds WHERE holds.sku = orders.sku AND holds.token = orders.token) END
    """

  static func fetch(_ sku: SKU, token: Token, db: Database) throws -> StoredOrder? {
    let statement = try db.cachedStatement(sql: "SELECT \(columns) FROM orders WHERE sku = ? AND token = ?")
    return try Row.fetchOne(statement, arguments: [sku.text, Data(token.bytes)]).map { try order(of: sku, row: $0) }
  }

  /// An order from a row of ``columns``.
  static func order(of sku: SKU, row: Row) throws -> StoredOrder {
    do {
      let token = try Token(bytes: Array(row[0] as Data))
      let user = try UserID(bytes: Array(row[1] as Data))
      let purchase = try Purchase(sku: sku, user: user, token: token, quantity: row[2])
      guard let state = OrderState(rawValue: row[5]) else {
        throw InvalidInput(argument: "state", value: (row[5] as String).utf8, requirement: "an order's state")
      }
      let order = Order(purchase: purchase, bucket: row[3], sequence: row[4], createdAtMs: row[6])
      return StoredOrder(order: order, state: state, expiresAtMs: state == .held ? row[7] : nil)
    } catch let error as InvalidInput {
      throw OrderStoreError(.corrupt, "an order of \(sku): \(error)")
    }
  }
}
