import Doorbuster
import Foundation
import SaleAudit
import TestServers
import Testing

/// A redis-server with AOF `everysec` that is killed in mid-sale, and whose disk lacks what was not flushed to it; and a
/// replica that becomes the master, and lacks what the old one went on to sell.
@Suite("Lost writes")
struct LostWritesTests {
  private enum Incident {
    case crash, failOver
  }

  @Test(
    "come up frozen, are completed and thawed without a hand, and break no promise that a message carries",
    .timeLimit(.minutes(10)),
    arguments: [
      ShopPlan(path: .combined, buckets: 4, hasOwnBroker: true, fsync: .everysec),
      ShopPlan(path: .redisMQ, hasOwnBroker: true, fsync: .everysec),
      ShopPlan(path: .combined, buckets: 3, database: .mariaDB, hasOwnBroker: true, fsync: .everysec),
    ]
  )
  func messagesApart(plan: ShopPlan) async throws {
    // Cancels are told by the bucket's log alone, which may lose them: their units may be another buyer's by then.
    let (shop, crowd, _) = try await sell(plan, Crowd.Habits(cancels: 0), [.crash, .crash, .crash])
    try expectPromises(crowd, shop)
    await shop.close()
  }

  @Test(
    "of a master are made up for by its replica, as far as messages carry them",
    .timeLimit(.minutes(10)),
    arguments: [
      ShopPlan(path: .combined, buckets: 4, hasOwnBroker: true, hasReplica: true),
      ShopPlan(path: .combined, buckets: 2, hasReplica: true), ShopPlan(path: .buckets, buckets: 3, hasReplica: true),
    ]
  )
  func promoted(plan: ShopPlan) async throws {
    let (shop, crowd, recorded) = try await sell(plan, Crowd.Habits(cancels: plan.hasOwnBroker ? 0 : 12), [.failOver])
    if plan.hasOwnBroker { try expectPromises(crowd, shop) } else { try expectOrders(recorded, crowd, shop) }
    await shop.close()
  }

  @Test(
    "where the messages are lost with them, never take an order that the database has, nor sell a unit twice",
    .timeLimit(.minutes(10)),
    arguments: [
      ShopPlan(path: .combined, buckets: 4, fsync: .everysec), ShopPlan(path: .redisMQ, fsync: .everysec),
      ShopPlan(path: .buckets, buckets: 4, fsync: .everysec),
      ShopPlan(path: .buckets, buckets: 2, database: .mariaDB, fsync: .everysec),
    ]
  )
  func messagesLost(plan: ShopPlan) async throws {
    let (shop, crowd, recorded) = try await sell(plan, Crowd.Habits(), [.crash, .crash, .crash])
    try expectOrders(recorded, crowd, shop)
    await shop.close()
  }

  private func expectPromises(_ crowd: Crowd, _ shop: Shop) throws {
    let ledger = crowd.ledger
    #expect(ledger.broken.isEmpty)
    var audit = try shop.audit()
    try audit.run(accepted: ledger.promised, others: Set(ledger.purchases.keys), givenUp: ledger.givenUp)
    #expect(audit.rejected.isEmpty)
  }

  /// What was promised and is in neither place any more is what such a server may lose.
  private func expectOrders(_ recorded: Set<String>, _ crowd: Crowd, _ shop: Shop) throws {
    let ledger = crowd.ledger
    var audit = try shop.audit()
    try audit.run(accepted: recorded, others: Set(ledger.purchases.keys), givenUp: ledger.givenUp)
  }

  /// Sells to the last unit, with incidents in between.
  /// - Returns: also the tokens of all orders that stood when an incident was over.
  private func sell(
    _ plan: ShopPlan,
    _ habits: Crowd.Habits,
    _ incidents: [Incident]
  ) async throws -> (Shop, Crowd, Set<String>) {
    let seed = SplitMix64.seedOfRun()
    let shop = try await Shop(plan)
    try await shop.createSale()
    let crowd = Crowd(shop, seed: seed, habits: habits)
    let workers = [shop.doorbuster.worker(), shop.doorbuster.worker()]
    let recorded = try await shop.serving(workers: workers) {
      let recorded = try await crowd.buying {
        var random = SplitMix64(seed: seed)
        var recorded: Set<String> = []
        for incident in incidents {
          switch incident {
          case .crash: recorded.formUnion(try await crash(shop, crowd, &random))
          case .failOver: recorded.formUnion(try await failOver(shop, crowd))
          }
        }
        try await crowd.wait(for: 1, more: "sold out") { $0.soldOut }
        return recorded
      }
      try await shop.waitUntilSettled()
      return recorded
    }
    #expect(workers.reduce(0) { $0 + $1.counters.completedBuckets } >= incidents.count)
    #expect(try shop.purchasesWrittenIn() > 0, "seed \(seed): nothing was lost")
    let found = try await shop.doorbuster.reconcile(shop.sku, settings: Shop.books)
    #expect(found.found == 0, "seed \(seed): \(found.findings)")
    #expect(try await shop.doorbuster.books(shop.sku).isBalanced, "seed \(seed)")
    return (shop, crowd, recorded)
  }

  /// Kills the server while buyers buy, takes the end of its append-only file away, and waits until its buckets sell again.
  private func crash(_ shop: Shop, _ crowd: Crowd, _ random: inout SplitMix64) async throws -> Set<String> {
    let server = shop.server
    let before = try await aside { try shop.bytesWritten() }
    try await crowd.waitForPromises(60)
    let epochs = try shop.epochs()
    try await aside { try server.kill9() }
    let orders = try shop.rows().filter { $0.value.state == "sold" || $0.value.state == "held" }
    // What came in since the last start is all that may be lost, from nothing to most of it.
    let written = try AppendOnlyFile.bytes(of: server) - before
    let lost = written > 0 ? Int(random.next() % UInt64(written)) : 0
    try await aside {
      try AppendOnlyFile.cut(server, to: before + written - lost)
      try server.restart()
    }
    try await waitUntilThawed(shop)
    #expect(zip(epochs, try shop.epochs()).allSatisfy { $0 != $1 }, "a bucket did not come up frozen")
    return Set(orders.keys)
  }

  /// Lets the old master sell on after its replica became one, and waits until that one's buckets sell.
  private func failOver(_ shop: Shop, _ crowd: Crowd) async throws -> Set<String> {
    try await crowd.waitForPromises(60)
    let reasons = try await shop.failOver { try await crowd.waitForPromises(40) }
    #expect(reasons.allSatisfy { $0 == "promotion" }, "\(reasons)")
    let orders = try shop.rows().filter { $0.value.state == "sold" || $0.value.state == "held" }
    try await waitUntilThawed(shop)
    return Set(orders.keys)
  }

  private func waitUntilThawed(_ shop: Shop) async throws {
    try await eventually("thawed buckets") {
      try shop.infos().allSatisfy { $0["frozen"]?.text == "no" }
    }
  }
}
