import Stock
import Synchronization
import TestServers
import Testing

extension SpreadSales {
  /// Sales whose servers fail, come back and hand their buckets over while buyers buy.
  @Suite("A sale over many buckets", .serialized, .timeLimit(.minutes(5)))
  struct FailoverTests {
    private static let stock: Int64 = 1_000_000

    /// Buyers of all homes and of one, until `body` has ended.
    private func selling(
      _ counter: Counter,
      hot: Int,
      _ body: @Sendable @escaping () async throws -> Void
    ) async throws {
      try await Counter.whileSelling(
        { lane, number in
          // One lane moves units all the time.
          if lane == 0 { return try await self.keepMoving(counter, number) }
          let name = "\(lane)-\(number)"
          let user = lane % 3 == 1 ? try SpreadShop.user(name, home: hot) : try UserID(name)
          try await counter.buy(user, name, quantity: 1 + Int64(number % 3))
        },
        body
      )
    }

    /// An order that wants more than its home has, and is cancelled. With one after the other, units are on their way all the
    /// time, and what is lost is transfers, too.
    private func keepMoving(_ counter: Counter, _ number: Int) async throws {
      let home = number * 5 % SpreadShop.buckets
      if let available = try? await counter.stock.info(BucketID(sku: SKU(SpreadShop.sku), index: home)).available {
        try await counter.buyAndCancel(
          SpreadShop.user("big-\(number)", home: home),
          "big-\(number)",
          quantity: available + 1_000
        )
      }
      try await Task.sleep(for: .milliseconds(50))
    }

    /// Waits until buyers of this home have bought again, which they can only once its bucket sells.
    private func waitForSale(_ counter: Counter, home: Int, _ name: String) async throws {
      let isBought = try await counter.buy(SpreadShop.user(name, home: home), name)
      #expect(isBought, "\(name)")
    }

    /// Sells the rest: most of it by one order, which is filled from all buckets, and the last by single units.
    private func sellRest(_ shop: SpreadShop, _ counter: Counter) async throws {
      let left = try BooksAudit(shop).unitsLeft()
      #expect(left > 100)
      let isBought = try await counter.buy(UserID("most"), "most", quantity: left - 40)
      #expect(isBought)
      try await counter.crowd(60, atATime: 16) { counter, number in
        try await counter.buy(UserID("rest-\(number)"), "rest-\(number)")
      }
      try await counter.settle()
    }

    private func expectBooks(_ shop: SpreadShop, _ counter: Counter) async throws {
      let tally = counter.counts
      #expect(tally.others.isEmpty, "\(tally.others.prefix(3))")
      let audit = try BooksAudit(shop)
      try await audit.waitForTransfers()
      let left = try audit.run(stock: Self.stock, promised: Set(tally.bought.keys))
      #expect(left == 0)
      try audit.repeatTransfers()
    }

    private func isFrozen(_ audit: BooksAudit) throws -> Bool { try audit.buckets().contains { $0.frozen != "no" } }

    @Test("that loses a master before its replica had all, while slots move, is completed by itself, to the last unit")
    func failover() async throws {
      let shop = try SpreadShop.onCluster()
      guard case .cluster(let cluster) = shop.servers else { return }
      try await Counter.open(shop, stock: Self.stock) { counter in
        let victim = try shop.owner(of: 0)
        let replica = try cluster.replica(of: victim)
        try await selling(counter, hot: 0) {
          try await migrate(shop, cluster, bucket: 0, counter)
          // Where bucket 0 is now, and back again below: the master that will die has it.
          let buckets = try shop.buckets(of: victim)
          let lost = try await LostMaster.lose(victim, of: cluster, buckets: buckets.map { SpreadShop.key($0) }) {
            for bucket in buckets { try await waitForSale(counter, home: bucket, "unreplicated-\(bucket)") }
          }
          #expect(lost.hasLostEvents, "the replica lacked nothing: no proof")
          try await waitForThaw(shop, counter)
          try victim.restart()
          try cluster.waitUntilWell()
          try BooksAudit(shop).expectConserved("after the old master came back")
          for home in try shop.buckets(of: replica) { try await waitForSale(counter, home: home, "after-\(home)") }
        }
        try await sellRest(shop, counter)
        #expect(counter.worker.counters.completedBuckets >= 3)
        try await expectBooks(shop, counter)
        // What the new master had lost was written in.
        #expect(try written(shop, replica) > 0)
      }
    }

    /// Moves a bucket to another master and back, while its buyers buy.
    private func migrate(_ shop: SpreadShop, _ cluster: TestCluster, bucket: Int, _ counter: Counter) async throws {
      let slot = try cluster.slot(ofKey: SpreadShop.key(bucket))
      let home = try shop.owner(of: bucket)
      guard let other = cluster.masters.first(where: { $0 !== home }) else { return }
      for (turn, (from, to)) in [(home, other), (other, home)].enumerated() {
        try cluster.beginMove(slot, from: from, to: to)
        try await waitForSale(counter, home: bucket, "move-\(turn)-begun")
        try cluster.moveKeys(slot, from: from, to: to)
        try await waitForSale(counter, home: bucket, "move-\(turn)-moved")
        try cluster.finishMove(slot, from: from, to: to)
        try await waitForSale(counter, home: bucket, "move-\(turn)-finished")
      }
    }

    /// Waits until the orchestrator has thawed all buckets by itself; then no transfer is open for longer than ten seconds.
    private func waitForThaw(_ shop: SpreadShop, _ counter: Counter) async throws {
      let audit = try BooksAudit(shop)
      try await eventually("the buckets to be completed and thawed", timeout: .seconds(60)) { try !isFrozen(audit) }
      try audit.expectConserved("after the thaw")
      let open = Set(try audit.openTransfers())
      try await eventually("what was open to be finished", timeout: .seconds(10)) {
        try open.isDisjoint(with: audit.openTransfers())
      }
    }

    /// How many events of the recovery's the server's buckets have.
    private func written(_ shop: SpreadShop, _ server: RedisServer) throws -> Int {
      try shop.buckets(of: server).reduce(0) { sum, bucket in
        let first = try #require(server.call("STOCK.INFO", SpreadShop.key(bucket))["logFirst"]?.integer)
        let log = try server.call("STOCK.LOG", SpreadShop.key(bucket), first - 1, "COUNT", 10_000)
        return sum + (log.elements ?? []).count { $0[1] == "record" }
      }
    }

    @Test(
      "on a list whose servers are killed and come back, one after the other, is completed by itself, to the last unit"
    )
    func restarts() async throws {
      let shop = try SpreadShop.onList(fsync: .everysec)
      guard case .list(let servers) = shop.servers else { return }
      try await Counter.open(shop, stock: Self.stock) { counter in
        try await selling(counter, hot: 1) {
          for (index, server) in servers.enumerated() {
            try await waitForSale(counter, home: index, "before-\(index)")
            try server.kill9()
            // The others go on meanwhile.
            try await waitForSale(counter, home: (index + 1) % 3, "meanwhile-\(index)")
            try server.restart()
            try await waitForThaw(shop, counter)
            try await waitForSale(counter, home: index, "after-\(index)")
          }
        }
        try await sellRest(shop, counter)
        #expect(counter.worker.counters.completedBuckets >= 12)
        try await expectBooks(shop, counter)
      }
    }
  }
}
