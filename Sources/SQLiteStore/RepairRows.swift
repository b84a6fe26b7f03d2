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
        try RepairRows(db: db).make(repairs)
      },
      refuse: { _, error in .refused(error.message) }
    )
  }
}

/// Repairs, inside one transaction.
struct RepairRows {
  private let db: Database

  init(db: Database) { self.db = db }

  func make(_ repairs: ArraySlice<OrderRepair>) throws -> [RepairOutcome] {
    try RepairRun.split(repairs).flatMap { run in
      switch run {
      case .together(let repairs): try makeTogether(repairs)
      case .recount(let sku): [try recount(sku)]
      }
    }
  }

  private func makeTogether(_ repairs: [OrderRepair]) throws -> [RepairOutcome] {
    var paths: [SKU: SalePath] = [:]
    var stocks: [SKU: Int64] = [:]
    for sku in Set(repairs.map(\.sku)) {
      paths[sku] = try SaleRows.fetch(sku, db: db)?.path
      stocks[sku] = try SaleRows.stock(of: sku, db: db)
    }
    let stored = try Set(repairs.compactMap(\.key)).compactMap { try OrderRows.fetch($0.sku, token: $0.token, db: db) }
    var book = OrderBook(stocks: stocks, orders: stored)
    let outcomes = repairs.map { repair -> RepairOutcome in
      guard let path = paths[repair.sku] else { return .unknownProduct }
      return repair.refusal(on: path) ?? book.repair(repair)
    }
    try BookRows(db: db).write(book)
    return outcomes
  }

  private func recount(_ sku: SKU) throws -> RepairOutcome {
    guard let sale = try SaleRows.fetch(sku, db: db), let before = try SaleRows.totals(of: sku, db: db) else {
      return .unknownProduct
    }
    var counted = try SaleRows.counted(before, of: sku, db: db)
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
