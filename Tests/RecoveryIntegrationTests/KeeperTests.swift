import Doorbuster
import Orders
import SaleAudit
import Stock
import TestServers
import Testing

/// What workers do for buckets that lost data, and what is left to operators.
@Suite("Buckets in a worker's care")
struct KeeperTests {
  private func purchase(_ shop: Shop, _ token: String, quantity: Int64 = 1) throws -> Purchase {
    // One user, so one bucket, of those that have several.
    try Purchase(sku: shop.sku, user: UserID("ann"), token: Token(token), quantity: quantity)
  }

  /// The bucket of all these purchases.
  private func home(_ shop: Shop) throws -> Int { try UserID("ann").homeBucket(among: shop.plan.buckets) }

  private func call(_ shop: Shop, _ command: String, _ bucket: Int, _ arguments: String...) throws -> RESP {
    let words: [any RedisArgument] = [command, SaleAudit.key(Shop.skuText, Int64(bucket))] + arguments
    return try shop.server.connect().call(words)
  }

  private func frozen(_ shop: Shop) throws -> [String?] { try shop.infos().map { $0["frozen"]?.text } }

  /// A shop that has sold three tokens and keeps units for a fourth, whose bucket's server has then lost all of it.
  private func shopThatLostItsSales() async throws -> Shop {
    let shop = try await Shop(ShopPlan(path: .combined, buckets: 2, hasOwnBroker: true, stock: 40, fsync: .everysec))
    try await shop.createSale()
    let server = shop.server
    let created = try await aside { try shop.bytesWritten() }
    try await shop.serving(workers: [shop.doorbuster.worker()]) {
      for token in ["a", "b", "c"] { _ = try await shop.answer(to: purchase(shop, token)) }
      _ = try await shop.answer(to: purchase(shop, "held"), holdMs: 3_600_000)
      try await shop.waitUntilSettled()
    }
    try await aside {
      try server.kill9()
      try AppendOnlyFile.cut(server, to: created)
      try server.restart()
    }
    return shop
  }

  @Test("A frozen sale is there: it can be created again, and says that it is frozen", .timeLimit(.minutes(10)))
  func withoutWorker() async throws {
    let shop = try await shopThatLostItsSales()
    #expect(try frozen(shop) == ["load", "load"])
    #expect(try await shop.createSale().stock == 40)
    #expect(try await shop.doorbuster.existingSale(shop.sku)?.stock == 40)
    for token in ["a", "new"] {
      let outcome = try await shop.answer(to: purchase(shop, token))
      guard case .refused(.frozen, _) = outcome else {
        Issue.record("\(token): \(outcome)")
        continue
      }
    }
    await #expect {
      try await shop.doorbuster.reconcile(shop.sku, settings: Shop.books)
    } throws: { ($0 as? DoorbusterError)?.code == .bucketFrozen }
    #expect(try frozen(shop) == ["load", "load"])
    #expect(try await shop.doorbuster.recover(shop.sku, settings: Shop.books).orders == [.sold: 3, .held: 1])
    try await expectAnswers(shop)
    await shop.close()
  }

  @Test("What an operator froze stays so, though it is complete, until the operator thaws it", .timeLimit(.minutes(10)))
  func frozenByOperator() async throws {
    let shop = try await shopThatLostItsSales()
    let (home, other) = (try home(shop), try 1 - home(shop))
    #expect(try call(shop, "STOCK.FREEZE", home) == .ok)
    let worker = shop.doorbuster.worker()
    try await shop.serving(workers: [worker]) {
      try await eventually("the other bucket's thaw") { try frozen(shop)[other] == "no" }
      try await eventually("the orders of the one that stays frozen") {
        try shop.infos()[home]["sold"]?.integer == 3
      }
      #expect(try frozen(shop)[home] == "operator")
      // The other reason comes back, and a worker ends it.
      #expect(try call(shop, "STOCK.THAW", home) == .ok)
      try await eventually("the last bucket's thaw") { try frozen(shop) == ["no", "no"] }
    }
    try await expectAnswers(shop)
    await shop.close()
  }

  private func expectAnswers(_ shop: Shop) async throws {
    for token in ["a", "b", "c"] {
      let outcome = try await shop.answer(to: purchase(shop, token))
      guard case .accepted(_, _, isRepeat: true) = outcome else {
        Issue.record("\(token): \(outcome)")
        continue
      }
    }
    #expect(try await shop.doorbuster.confirm(shop.sku, token: Token("held")) == .confirmed)
    try await shop.serving(workers: [shop.doorbuster.worker()]) { try await shop.waitUntilSettled() }
    var audit = try shop.audit()
    try audit.run(accepted: ["a", "b", "c", "held"], others: ["new"])
    #expect(audit.sold == ["a", "b", "c", "held"])
  }

  @Test(
    "A hold that was written in ends when its order is too old, unless it was confirmed",
    .timeLimit(.minutes(10)),
    arguments: [SalePath.combined, .buckets]
  )
  func recordedHolds(path: SalePath) async throws {
    let shop = try await Shop(ShopPlan(path: path, buckets: 2, stock: 40, holdMax: .seconds(4)))
    try await shop.createSale()
    try await shop.serving(workers: [shop.doorbuster.worker()]) {
      for token in ["forgotten", "wanted"] {
        _ = try await shop.answer(to: purchase(shop, token), holdMs: 3_600_000)
      }
      try await shop.waitUntilSettled()
    }
    // Without a worker, which on a busy machine would end both before one is confirmed.
    #expect(try shop.server.call("FLUSHALL") == .ok)
    let report = try await shop.doorbuster.recover(shop.sku, settings: Shop.books)
    #expect(report.orders == [.held: 2] && report.isComplete, "\(report)")
    let home = try home(shop)
    #expect(try call(shop, "STOCK.GET", home, "forgotten")["expires"] == .null)
    #expect(try await shop.doorbuster.confirm(shop.sku, token: Token("wanted")) == .confirmed)
    let worker = shop.doorbuster.worker()
    try await shop.serving(workers: [worker]) {
      // This one's end is the bucket's own business.
      _ = try await shop.answer(to: purchase(shop, "fresh"), holdMs: 3_600_000)
      try await eventually("the end of the hold") { worker.counters.endedHolds == 1 }
      try await shop.waitUntilSettled()
      #expect(try shop.infos()[home]["held"] == 1)
    }
    let rows = try shop.rows()
    #expect(rows.mapValues(\.state) == ["forgotten": "cancelled", "wanted": "sold", "fresh": "held"])
    var audit = try shop.audit()
    try audit.run(accepted: ["wanted", "fresh"], givenUp: ["forgotten"])
    await shop.close()
  }
}
