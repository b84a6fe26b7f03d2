import Logging
import Messaging
import Orders
import ServiceLifecycle
import Stock
import Testing

@testable import Doorbuster

extension Sample {
  static let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }
}

/// The services themselves, run as they are, against the model servers.
@Suite("Services")
struct ServiceTests {
  let sku: SKU
  init() throws { sku = try Sample.sku() }

  private func configuration() -> DoorbusterConfiguration {
    var configuration = DoorbusterConfiguration()
    configuration.firstCheck = .seconds(3)
    configuration.purchaseDeadline = .seconds(2)
    configuration.storeFromLogAfter = .seconds(3)
    configuration.logInterval = .milliseconds(5)
    configuration.upkeepInterval = .milliseconds(5)
    configuration.batchMax = 16
    configuration.consumers = 2
    return configuration
  }

  /// Runs all services while the body runs; then stops them by cancellation and waits for their end.
  private func serving(
    _ doorbuster: Doorbuster,
    _ body: (Worker) async throws -> Void
  ) async throws {
    let worker = doorbuster.worker()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for service in [doorbuster, worker, doorbuster.checkBack()] as [any Service] {
        group.addTask { try await service.run() }
      }
      try await body(worker)
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  /// Waits until the sale is settled, 30 s at most.
  private func settle(_ doorbuster: Doorbuster) async throws {
    let deadline = RunningClock().now.advanced(by: .seconds(30))
    while try await !doorbuster.status(sku).isSettled {
      try #require(RunningClock().now < deadline, "the sale does not come to rest")
      _ = await RunningClock().wait(ms: 2)
    }
  }

  @Test("sell out to a crowd that clicks twice, and the books balance", .timeLimit(.minutes(10)))
  func sellOut() async throws {
    let servers = ModelServers()
    let doorbuster = try servers.orchestrator(configuration())
    let sku = sku
    _ = try await doorbuster.createSale(sku, stock: 300, terms: SaleTerms(buckets: 3), path: .combined)
    try await serving(doorbuster) { worker in
      let accepted = try await withThrowingTaskGroup(of: Int64.self) { group in
        for lane in 0..<8 {
          group.addTask {
            var accepted: Int64 = 0
            for number in 0..<100 {
              let user = "u\(lane)-\(number)"
              let purchase = try Sample.purchase("t-\(user)", user: user, quantity: 1)
              for _ in 0..<2 {
                if case .accepted(_, _, isRepeat: false) = await doorbuster.purchase(purchase) { accepted += 1 }
              }
            }
            return accepted
          }
        }
        return try await group.reduce(0, +)
      }
      try await settle(doorbuster)
      let books = try await doorbuster.books(sku)
      #expect(accepted == 300)
      #expect(books.isBalanced, "\(books)")
      #expect(books.databaseOrders == 300)
      #expect(worker.counters.acknowledged >= 300)
      #expect(worker.counters.deadLettered == 0)
    }
    #expect(servers.with { $0.broker.halves.isEmpty })
  }

  @Test("bring a cancel into the database", .timeLimit(.minutes(10)))
  func cancel() async throws {
    let servers = ModelServers()
    let doorbuster = try servers.orchestrator(configuration())
    _ = try await doorbuster.createSale(sku, stock: 5)
    try await serving(doorbuster) { _ in
      _ = await doorbuster.purchase(try Sample.purchase())
      try await settle(doorbuster)
      #expect(try await doorbuster.books(sku).databaseUnitsSold == 2)
      #expect(try await doorbuster.cancel(sku, token: Token("t1")) == .cancelled)
      try await settle(doorbuster)
      let books = try await doorbuster.books(sku)
      #expect(books.databaseUnitsSold == 0 && books.databaseStock == 5 && books.isBalanced)
    }
  }

  @Test("check back what an orchestrator left behind", .timeLimit(.minutes(10)))
  func checkBack() async throws {
    let servers = ModelServers()
    servers.with { $0.broker.firstCheckMs = 10 }
    let doorbuster = try servers.orchestrator(configuration())
    _ = try await doorbuster.createSale(sku, stock: 5)
    let purchase = try Sample.purchase()
    _ = try await servers.sendHalf(Sample.message(purchase))
    _ = try await servers.deduct(purchase, from: Sample.bucket(), before: .now)
    _ = try await servers.sendHalf(Sample.message(Sample.purchase("t2")))
    try await serving(doorbuster) { _ in
      try await settle(doorbuster)
      #expect(try await doorbuster.books(sku).isBalanced)
      #expect(try await servers.fence(Token("t2"), in: Sample.bucket()) == .alreadyCancelled)
    }
  }

  @Test("go on with other buckets where one bucket's log is not the one that was followed", .timeLimit(.minutes(10)))
  func haltedBucket() async throws {
    let servers = ModelServers()
    let doorbuster = try servers.orchestrator(configuration())
    let sku = sku
    _ = try await doorbuster.createSale(sku, stock: 10, terms: SaleTerms(buckets: 2), path: .combined)
    servers.with { $0.stock.buckets[BucketID(sku: sku, index: 0)]?.epoch = 9 }
    try await serving(doorbuster) { worker in
      let deadline = RunningClock().now.advanced(by: .seconds(30))
      try await servers.schedule(BucketID(sku: sku, index: 1), limit: 3, opensMs: nil, closesMs: nil)
      while true {
        let status = try await doorbuster.status(sku)
        if status.buckets[1].isFollowed, worker.counters.haltedBuckets == 1 { break }
        try #require(RunningClock().now < deadline)
        _ = await RunningClock().wait(ms: 2)
      }
      #expect(try await doorbuster.status(sku).buckets[0].isFollowed == false)
    }
  }

  @Test("follow every sale's buckets, though another sale's could not be claimed at first", .timeLimit(.minutes(10)))
  func failedClaim() async throws {
    let servers = ModelServers()
    let doorbuster = try servers.orchestrator(configuration())
    let skus = try ["a", "b", "c"].map { try SKU($0) }
    for sku in skus {
      _ = try await doorbuster.createSale(sku, stock: 10, terms: SaleTerms(buckets: 2), path: .buckets)
    }
    servers.with { $0.failingClaims = [skus[1]] }
    try await serving(doorbuster) { _ in
      for sku in skus {
        _ = await doorbuster.purchase(try Purchase(sku: sku, user: UserID("ann"), token: Token("t"), quantity: 1))
      }
      let deadline = RunningClock().now.advanced(by: .seconds(30))
      while servers.with({ $0.orders.orders.count }) < skus.count {
        try #require(RunningClock().now < deadline, "\(servers.with { $0.orders.orders.keys.map(\.sku) })")
        _ = await RunningClock().wait(ms: 2)
      }
    }
    #expect(servers.with { $0.failingClaims.isEmpty })
  }

  @Test("roll back behind the answer while they run, and before it while they don't", .timeLimit(.minutes(10)))
  func rollBacks() async throws {
    let servers = ModelServers()
    let doorbuster = try servers.orchestrator(configuration())
    _ = try await doorbuster.createSale(sku, stock: 0)
    #expect(await doorbuster.purchase(try Sample.purchase()) == .refused(.soldOut, remaining: 0))
    #expect(servers.with { $0.broker.halves.isEmpty })
    try await serving(doorbuster) { _ in
      for number in 0..<200 { _ = await doorbuster.purchase(try Sample.purchase("t\(number)")) }
    }
    // Stopping finishes what was pending.
    #expect(servers.with { $0.broker.halves.isEmpty })
  }

  @Test("refuse a deadline that is not shorter than the broker's first check, and other nonsense, by name")
  func configurations() throws {
    func argument(_ change: (inout DoorbusterConfiguration) -> Void) -> String? {
      var configuration = DoorbusterConfiguration()
      change(&configuration)
      do throws(InvalidInput) {
        try configuration.validate()
        return nil
      } catch {
        return error.argument
      }
    }
    #expect(argument { _ in } == nil)
    #expect(argument { $0.purchaseDeadline = $0.firstCheck } == "purchaseDeadline")
    #expect(argument { $0.purchaseDeadline = .zero } == "purchaseDeadline")
    #expect(argument { $0.storeFromLogAfter = $0.firstCheck - .milliseconds(1) } == "storeFromLogAfter")
    #expect(argument { $0.batchMax = 0 } == "batchMax")
    #expect(argument { $0.consumers = 0 } == "consumers")
    #expect(argument { $0.logInterval = .zero } == "logInterval")
    #expect(argument { $0.rollBacksMax = -1 } == "rollBacksMax")
  }
}
