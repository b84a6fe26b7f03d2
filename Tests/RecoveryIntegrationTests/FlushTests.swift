import Doorbuster
import SaleAudit
import Stock
import TestServers
import Testing

/// `FLUSHALL` in the middle of a sale, while buyers keep trying.
@Suite("A server that lost everything")
struct FlushTests {
  private static let restocked: Int64 = 60
  private static let takenDown: Int64 = -20
  private static let collector = "collector"
  private static let limit: Int64 = 6

  /// Few units, so that the sale ends soon, and a limit.
  private static let plans = [
    ShopPlan(path: .combined, buckets: 4, stock: 900, limit: limit),
    ShopPlan(path: .combined, buckets: 3, database: .mariaDB, hasOwnBroker: true, stock: 900, limit: limit),
    ShopPlan(path: .redisMQ, stock: 900, limit: limit),
    ShopPlan(path: .buckets, buckets: 4, stock: 900, limit: limit),
    ShopPlan(path: .buckets, buckets: 2, database: .mariaDB, stock: 900, limit: limit),
  ]

  @Test(
    "is rebuilt: totals, limits, windows, and the answer of every token that reached the database",
    .timeLimit(.minutes(10)),
    arguments: plans
  )
  func flushed(plan: ShopPlan) async throws {
    let seed = SplitMix64.seedOfRun()
    let shop = try await Shop(plan)
    try await shop.createSale()
    let crowd = Crowd(shop, seed: seed, habits: Crowd.Habits(cancels: plan.hasOwnBroker ? 0 : 12))
    try await shop.serving(workers: [shop.doorbuster.worker(), shop.doorbuster.worker()]) {
      try await crowd.buying {
        try await shop.doorbuster.restock(shop.sku, token: Token("up"), quantity: Self.restocked)
        try await shop.doorbuster.restock(shop.sku, token: Token("down"), quantity: Self.takenDown)
        try await buyToTheLimit(shop)
        try await crowd.waitForPromises(120)
        #expect(try shop.server.call("FLUSHALL") == .ok)
        let lost = try await aside { try shop.rows() }
        try await crowd.wait(for: 5, more: "answers that there is no bucket") { $0.lost }
        try await recover(shop)
        try await crowd.waitForPromises(20)
        try await expectAnswers(of: lost, crowd, shop)
        try await expectLimit(shop)
        try await crowd.wait(for: 1, more: "sold out") { $0.soldOut }
      }
      try await shop.waitUntilSettled()
    }
    try await expectBooks(shop, crowd, seed)
    await shop.close()
  }

  /// By two at once.
  private func recover(_ shop: Shop) async throws {
    async let first = shop.doorbuster.recover(shop.sku, settings: Shop.books)
    async let second = shop.doorbuster.recover(shop.sku, settings: Shop.books)
    for report in [try await first, try await second] {
      #expect(report.isComplete, "\(report.findings)")
      #expect(report.buckets.count == shop.plan.buckets)
    }
    for info in try shop.infos() {
      #expect(info["frozen"]?.text == "no")
      #expect(info["buckets"]?.integer == Int64(shop.plan.buckets))
      #expect(info["limit"]?.integer == Self.limit)
      #expect(info["opens"]?.integer == shop.opensMs)
      #expect(info["closes"]?.integer == shop.closesMs)
    }
    func total(_ names: String...) throws -> Int64 {
      try shop.infos().reduce(0) { sum, info in sum + names.reduce(0) { $0 + (info[$1]?.integer ?? 0) } }
    }
    #expect(try total("created") == shop.plan.stock)
    #expect(try total("created", "added") == shop.plan.stock + Self.restocked + Self.takenDown)
  }

  /// One buyer has all that a buyer may have, and the database knows it.
  private func buyToTheLimit(_ shop: Shop) async throws {
    for number in 0..<2 {
      let outcome = try await shop.answer(to: collected(shop, "collected-\(number)", Self.limit / 2))
      guard case .accepted = outcome else { throw TestServerError.launch("\(outcome)") }
    }
    try await eventually("the collector's orders") { try shop.rows()["collected-1"] != nil }
  }

  private func collected(_ shop: Shop, _ token: String, _ quantity: Int64) throws -> Purchase {
    try Purchase(sku: shop.sku, user: UserID(Self.collector), token: Token(token), quantity: quantity)
  }

  private func expectLimit(_ shop: Shop) async throws {
    let outcome = try await shop.answer(to: collected(shop, "one-too-many", 1))
    guard case .refused(.limit, _) = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  /// Whoever asks again hears what became of the purchase before everything was lost.
  private func expectAnswers(of rows: [String: SaleAudit.Row], _ crowd: Crowd, _ shop: Shop) async throws {
    #expect(rows.count > 60)
    for (token, row) in rows where row.state != "cancelled" {
      let purchase = try Purchase(sku: shop.sku, user: UserID(row.user), token: Token(token), quantity: row.quantity)
      let outcome = try await shop.answer(to: purchase)
      switch (row.state, outcome) {
      case ("sold", .accepted(_, _, isRepeat: true)), ("held", .held(_, _, _, isRepeat: true)): continue
      // Confirmed meanwhile.
      case ("held", .accepted(_, _, isRepeat: true)): continue
      default: #expect(crowd.ledger.givenUp.contains(token), "\(token), \(row): \(outcome)")
      }
    }
    for (token, row) in rows where row.state == "cancelled" {
      let purchase = try Purchase(sku: shop.sku, user: UserID(row.user), token: Token(token), quantity: row.quantity)
      #expect(try await shop.answer(to: purchase) == .cancelled, "\(token)")
    }
  }

  private func expectBooks(_ shop: Shop, _ crowd: Crowd, _ seed: UInt64) async throws {
    let found = try await shop.doorbuster.reconcile(shop.sku, settings: Shop.books)
    #expect(found.found == 0, "seed \(seed): \(found.findings)")
    #expect(try await shop.doorbuster.books(shop.sku).isBalanced, "seed \(seed)")
    let ledger = crowd.ledger
    var audit = try shop.audit()
    let collected: Set = ["collected-0", "collected-1"]
    // What only Redis had is lost with it; messages that are apart lose nothing.
    let promised = shop.plan.hasOwnBroker ? ledger.promised.union(collected) : collected
    try audit.run(accepted: promised, others: Set(ledger.purchases.keys), givenUp: ledger.givenUp)
    if shop.plan.hasOwnBroker {
      #expect(audit.rejected.isEmpty, "seed \(seed)")
      #expect(ledger.broken.isEmpty, "seed \(seed)")
    }
  }
}
