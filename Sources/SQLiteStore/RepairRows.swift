import Foundation
import GRDB
import Logging
import OrderBatching
import Orders
import Stock

typealias RepairWriter = OrderBatcher<OrderRepair, RepairOutcome, Database>

extension OrderBatcher where Item == OrderRepair, Outcome == RepairOutcome, Access == Database {
  convenience init(_ pool: DatabasePool, path: String) {
    self.init(
      pool,
      path: path,
      strategy: .groupCommit,
      while: { count in "making \(count) repairs" },
      write: { repairs, db in
        var rows = try RepairRows(db: db)
        return try rows.make(repairs)
      },
      refuse: { _, error in .refused(error.message) }
    )
  }
}

/// Repairs, inside one transaction.
struct RepairRows {
  private let db: Database
  private var rows: OrderRows
  private var paths: [SKU: SalePath] = [:]

  init(db: Database) throws {
    self.db = db
    rows = try OrderRows(db: db)
  }

  mutating func make(_ repairs: ArraySlice<OrderRepair>) throws -> [RepairOutcome] {
    let outcomes = try repairs.map { try make($0) }
    try rows.settle()
    return outcomes
  }

  private mutating func make(_ repair: OrderRepair) throws -> RepairOutcome {
    guard let path = try path(of: repair.sku) else { return .unknownProduct }
    if case .recount(let sku) = repair {
      // Its sum must see what this transaction has changed so far.
      try rows.settle()
      return try recount(sku)
    }
    guard path != .database else {
      return .refused("the sale of \(repair.sku) is on the path database, where no bucket differs from its orders")
    }
    switch repair {
    case .recount: return .unchanged
    case .record(let order, let state): return try record(order, as: state)
    case .move(let sku, let token, let state): return try move(sku, token, to: state)
    case .correct(let stored, let order): return try correct(stored, to: order)
    }
  }

  private mutating func path(of sku: SKU) throws -> SalePath? {
    if let known = paths[sku] { return known }
    let path = try SaleRows.fetch(sku, db: db)?.path
    paths[sku] = path
    return path
  }

  private mutating func record(_ order: Order, as state: OrderState) throws -> RepairOutcome {
    switch try rows.record(order, as: state) {
    case .recorded: .repaired
    case .rejected: .rejected
    case .alreadyRecorded: .unchanged
    case .conflict(let stored): .conflict(stored)
    case .unknownProduct: .unknownProduct
    case .refused(let reason): .refused(reason)
    }
  }

  private mutating func move(_ sku: SKU, _ token: Token, to state: OrderState) throws -> RepairOutcome {
    guard let stored = try OrderRows.fetch(sku, token: token, db: db) else { return .unknownOrder }
    guard stored.state.mayBeRepaired(to: state), try rows.stock(of: sku) != nil else { return .unchanged }
    let statement = try db.cachedStatement(sql: "UPDATE orders SET state = ? WHERE sku = ? AND token = ?")
    try statement.execute(arguments: [state.rawValue, sku.text, Data(token.bytes)])
    if stored.state.takesStock, !state.takesStock { rows.change(sku, by: stored.order.purchase.quantity) }
    return .repaired
  }

  private mutating func correct(_ old: StoredOrder, to order: Order) throws -> RepairOutcome {
    let (sku, token) = (order.purchase.sku, order.purchase.token)
    guard old.order.purchase.token == token, old.order.purchase.sku == sku else {
      return .refused("an order of \(old.order.purchase.sku) can't become one of another product or token")
    }
    guard let stored = try OrderRows.fetch(sku, token: token, db: db) else { return .unknownOrder }
    if stored.order == order { return .unchanged }
    guard stored == old, let stock = try rows.stock(of: sku) else { return .conflict(stored) }
    let more = stored.state.takesStock ? order.purchase.quantity - stored.order.purchase.quantity : 0
    guard stock >= more else { return .short(stock: stock) }
    let statement = try db.cachedStatement(
      sql: """
        UPDATE orders SET user = ?, quantity = ?, bucket = ?, sequence = ?, created_at = ? WHERE sku = ? AND token = ?
        """
    )
    try statement.execute(arguments: [
      Data(order.purchase.user.bytes), order.purchase.quantity, order.bucket, order.sequence, order.createdAtMs,
      sku.text, Data(token.bytes),
    ])
    rows.change(sku, by: -more)
    return .repaired
  }

  private func recount(_ sku: SKU) throws -> RepairOutcome {
    guard let sale = try SaleRows.fetch(sku, db: db), let before = try SaleRows.totals(of: sku, db: db) else {
      return .unknownProduct
    }
    var counted = SaleTotals(stock: 0, orders: [:], units: [:], restocked: before.restocked)
    let sums = try Row.fetchAll(
      db,
      sql: "SELECT state, count(*), sum(quantity) FROM orders WHERE sku = ? GROUP BY state",
      arguments: [sku.text]
    )
    for row in sums {
      guard let state = OrderState(rawValue: row[0]) else { continue }
      (counted.orders[state], counted.units[state]) = (row[1], row[2])
    }
    let stock = counted.stock(of: sale)
    counted.stock = max(0, stock)
    let buyersDiffer = sale.path == .database ? try BuyerRows.recount(sku, db: db) : false
    if counted == before, !buyersDiffer { return stock < 0 ? .short(stock: stock) : .unchanged }
    for state in OrderState.allCases {
      try db.execute(
        sql: "INSERT OR REPLACE INTO order_totals (sku, state, orders, units) VALUES (?, ?, ?, ?)",
        arguments: [sku.text, state.rawValue, counted.orders[state] ?? 0, counted.units[state] ?? 0]
      )
    }
    try db.execute(sql: "UPDATE products SET stock = ? WHERE sku = ?", arguments: [counted.stock, sku.text])
    return stock < 0 ? .short(stock: stock) : .repaired
  }
}
