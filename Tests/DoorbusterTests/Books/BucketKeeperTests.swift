import Orders
import Stock
import Synchronization
import Testing

@testable import Doorbuster

/// The keeper itself, run as it is, against the model servers.
@Suite("The keeper of buckets")
struct BucketKeeperTests {
  private final class Counter: Sendable {
    private let value = Mutex(0)

    var count: Int { value.withLock { $0 } }

    func next() -> Int {
      value.withLock { value in
        value += 1
        return value
      }
    }
  }

  /// Keeps the buckets of all sales until something is so, 30 s at most.
  private func keep(
    _ stock: some StockService,
    _ servers: ModelServers,
    until isSo: () -> Bool
  ) async throws {
    var configuration = DoorbusterConfiguration()
    configuration.recovery.restartGrace = .milliseconds(5)
    let keeper = BucketKeeper(
      stock: stock,
      broker: servers,
      orders: servers,
      clock: RunningClock(),
      configuration: configuration,
      tally: WorkerTally(),
      logger: Sample.logger,
      isOurs: { _ in true }
    )
    let sales = SaleWatch(
      orders: servers,
      servers: stock.serversText,
      clock: RunningClock(),
      intervalMs: 5,
      logger: Sample.logger
    )
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await keeper.run(sales) }
      defer { group.cancelAll() }
      let deadline = RunningClock().now.advanced(by: .seconds(30))
      while !isSo() {
        try #require(RunningClock().now < deadline, "the keeper has not come so far")
        _ = await RunningClock().wait(ms: 2)
      }
    }
  }

  private func sale(_ sku: SKU, buckets: Int) -> Sale {
    Sale(sku: sku, stock: 10, terms: SaleTerms(buckets: buckets), path: .buckets, createdAtMs: 1)
  }

  @Test(
    "completes the others while a node with four buckets does not answer, also where it is to search for holds there",
    .timeLimit(.minutes(10))
  )
  func deadNode() async throws {
    let (servers, stock) = (ModelServers(), CoreServers())
    let (dead, frozen) = (sale(try SKU("a"), buckets: 4), sale(try SKU("b"), buckets: 1))
    for sale in [dead, frozen] {
      _ = try await servers.create(sale)
      for bucket in sale.buckets {
        let share = sale.share(of: sale.stock, bucket: bucket.index)
        try await stock.create(bucket, quantity: share, terms: sale.terms, frozen: true)
      }
    }
    let held = Sample.order(try Sample.purchase(sku: "a"))
    _ = try await servers.record([held], as: .held, rejecting: false)
    stock.onCommand { _, bucket in bucket.sku == dead.sku ? .hanging(.seconds(600)) : nil }
    try await keep(stock, servers) { stock.infos(of: frozen.sku).allSatisfy { $0.frozen == nil } }
    #expect(stock.infos(of: dead.sku).allSatisfy { $0.frozen == .create })
  }

  @Test(
    "builds no bucket that is gone, though it goes only after it was seen",
    .timeLimit(.minutes(10)),
    // By the keeper, and by the recovery itself.
    arguments: [2, 3]
  )
  func gone(reading: Int) async throws {
    let servers = ModelServers()
    let sale = sale(try Sample.sku(), buckets: 2)
    _ = try await servers.orchestrator().createSale(sale.sku, stock: 10, terms: sale.terms, path: sale.path)
    let positions = Counter()
    servers.with { state in
      for bucket in sale.buckets { state.stock.comeUp(bucket, .load) }
      state.before = { step, state in
        guard step == .positions, positions.next() == reading else { return }
        state.stock.buckets[sale.buckets[1]] = nil
      }
    }
    func first() -> ModelBucket? { servers.with { $0.stock.buckets[sale.buckets[0]] } }
    try await keep(servers, servers) { positions.count >= 8 || first()?.frozen == nil }
    #expect(first()?.frozen == .load)
    #expect(servers.with { $0.stock.buckets[sale.buckets[1]] } == nil)
  }
}
