import Doorbuster
import Orders
import TestServers
import Testing

/// The database and the workers are killed in mid-stream, again and again, while a crowd buys.
@Suite("Crashes in mid-stream")
struct StreamCrashTests {
  private static let rounds = 4

  @Test(
    "of mariadbd and of workers leave each accepted purchase one order, under both deliveries",
    .timeLimit(.minutes(10)),
    arguments: [
      ShopPlan(path: .combined, buckets: 3, database: .mariaDB, stock: 20_000),
      ShopPlan(path: .buckets, buckets: 3, database: .mariaDB, stock: 20_000),
    ]
  )
  func killed(plan: ShopPlan) async throws {
    let seed = SplitMix64.seedOfRun()
    let mariaDB = try await aside { try MariaDBServer() }
    let shop = try await Shop(plan, on: mariaDB)
    try await shop.createSale()
    let crowd = Crowd(shop, seed: seed)
    try await shop.serving(workers: []) {
      try await crowd.buying {
        var workers = try await aside { try [shop.startWorker(), shop.startWorker()] }
        for round in 0..<Self.rounds {
          // Both workers are at it when it comes.
          try await moreOrders(50, in: shop)
          try await killWorker(&workers[round % 2], of: shop)
          try await moreOrders(50, in: shop)
          try await aside {
            try mariaDB.kill9()
            try mariaDB.restart()
          }
          for worker in workers { #expect(worker.isRunning, "\(worker.stderr)") }
        }
        try await moreOrders(50, in: shop)
      }
    }
    let worker = try await aside { try shop.startWorker() }
    try await shop.serving(workers: []) { try await shop.waitUntilSettled() }
    #expect(worker.isRunning, "\(worker.stderr)")
    try await expectOrders(of: crowd, shop, seed)
    await shop.close()
  }

  private func killWorker(_ worker: inout Subprocess, of shop: Shop) async throws {
    let old = worker
    worker = try await aside {
      try old.kill9()
      return try shop.startWorker()
    }
  }

  private func moreOrders(_ count: Int64, in shop: Shop) async throws {
    func orders() async throws -> Int64 {
      try await shop.orders.totals(of: shop.sku)?.orders.values.reduce(0, +) ?? 0
    }
    let start = try await orders()
    try await eventually("\(count) more orders") { try await orders() >= start + count }
  }

  /// Redis lost nothing, so orders and accepted purchases are the same.
  private func expectOrders(of crowd: Crowd, _ shop: Shop, _ seed: UInt64) async throws {
    let ledger = crowd.ledger
    var audit = try shop.audit()
    try audit.run(accepted: ledger.promised, others: Set(ledger.purchases.keys), givenUp: ledger.givenUp)
    #expect(audit.rejected.isEmpty && ledger.broken.isEmpty, "seed \(seed)")
    let report = try await shop.doorbuster.reconcile(shop.sku, settings: Shop.books)
    #expect(report.found == 0, "seed \(seed): \(report.findings)")
  }
}
