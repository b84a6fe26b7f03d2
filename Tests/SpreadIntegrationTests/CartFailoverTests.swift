import Doorbuster
import SaleAudit
import Stock
import Synchronization
import TestServers
import Testing

extension SpreadSales {
  /// Carts whose lines are on several masters, one of which dies with some of them.
  @Suite("A sale of carts over many buckets", .serialized, .timeLimit(.minutes(5)))
  struct CartFailoverTests {
    private static let skus = ["hat", "shoe"]
    private static let stock: Int64 = 100_000

    /// What the buyers of carts have heard.
    private final class Answers: Sendable {
      private let accepted = Mutex<Set<String>>([])

      var carts: Set<String> { accepted.withLock { $0 } }

      func accept(_ token: String) { accepted.withLock { _ = $0.insert(token) } }
    }

    /// Buys until there is a final answer, with a new token where an attempt was cancelled.
    private func buy(_ user: UserID, _ name: String, _ doorbuster: Doorbuster, _ answers: Answers) async throws {
      var attempts = 1
      while !Task.isCancelled {
        let token = "\(name)/\(attempts)"
        let lines = try Self.skus.map { try CartLine(sku: SKU($0), quantity: 2) }
        switch await doorbuster.purchase(cart: try Cart(user: user, token: Token(token), lines: lines)) {
        case .accepted: return answers.accept(token)
        case .cancelled, .refused(.frozen, _, _): attempts += 1
        case .refused(let refusal, let line, _): return #expect(Bool(false), "\(token): \(refusal) of \(line.sku)")
        case .unknown, .failed: break
        }
        // Servers that are away are asked again a little later.
        try await Task.sleep(for: .milliseconds(20))
      }
    }

    /// Buyers of all homes, until `body` has ended.
    private func selling(
      _ doorbuster: Doorbuster,
      _ answers: Answers,
      _ body: @Sendable @escaping () async throws -> Void
    ) async throws {
      try await Counter.whileSelling(
        { lane, number in try await buy(UserID("\(lane)-\(number)"), "\(lane)-\(number)", doorbuster, answers) },
        body
      )
    }

    private func waitForCarts(_ count: Int, _ answers: Answers) async throws {
      let goal = answers.carts.count + count
      try await eventually("\(count) more carts", timeout: .seconds(60)) { answers.carts.count >= goal }
    }

    @Test(
      "that loses a master before its replica had all leaves each cart whole or not at all, and keeps every promise"
    )
    func failover() async throws {
      let shop = try SpreadShop.onCluster()
      guard case .cluster(let cluster) = shop.servers else { return }
      try await Counter.open(shop, stock: Self.stock, of: Self.skus) { counter in
        let answers = Answers()
        let victim = try shop.owner(of: 0, of: Self.skus[0])
        let buckets = try Self.skus.flatMap { sku in
          try (0..<SpreadShop.buckets).filter { try shop.owner(of: $0, of: sku) === victim }
            .map { SpreadShop.key($0, of: sku) }
        }
        try await selling(counter.doorbuster, answers) {
          try await waitForCarts(200, answers)
          let lost = try await LostMaster.lose(victim, of: cluster, buckets: buckets) {
            try await waitForCarts(400, answers)
          }
          #expect(lost.hasLostEvents, "the replica lacked nothing: no proof")
          // Carts with a line on it are sold again only once its buckets are completed.
          try await eventually("the buckets to be completed and thawed", timeout: .seconds(60)) {
            try buckets.allSatisfy { try lost.replica.call("STOCK.INFO", $0)["frozen"] == "no" }
          }
          try await waitForCarts(200, answers)
          try victim.restart()
          try cluster.waitUntilWell()
          try await waitForCarts(100, answers)
        }
        for sku in Self.skus { try await counter.settle(sku) }
        let links = try Dictionary(
          uniqueKeysWithValues: Self.skus.map { sku in
            (sku, try (0..<SpreadShop.buckets).map { try shop.owner(of: $0, of: sku).connect() })
          }
        )
        var audit = try CartAudit(shop.database, messages: shop.messages) { sku, bucket in
          try #require(links[sku])[Int(bucket)]
        }
        try audit.run(accepted: answers.carts)
        #expect(audit.rejected.isEmpty)
        #expect(counter.worker.counters.completedBuckets >= buckets.count)
      }
    }
  }
}
