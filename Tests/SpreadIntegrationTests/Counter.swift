import Doorbuster
import Logging
import Orders
import RedisDriver
import RedisStreams
import SQLiteStore
import Stock
import StockClient
import Synchronization
import TestServers
import Testing

/// An orchestrator of this process on a shop's servers, with the buyers who come to it.
final class Counter: Sendable {
  let doorbuster: Doorbuster
  let stock: StockClient
  let worker: Worker
  private let tally = Mutex(Tally())

  struct Tally: Sendable {
    /// Tokens whose buyers heard that they have bought, with the units.
    var bought: [String: Int64] = [:]
    var soldOut = 0
    /// The smallest quantity that was told to be sold out.
    var smallestRefused = Int64.max
    /// Answers that no buyer should get.
    var others: [String] = []
  }

  /// What runs beside the buyers.
  enum Services { case buyersOnly, withWorker }

  var counts: Tally { tally.withLock { $0 } }
  var boughtUnits: Int64 { counts.bought.values.reduce(0, +) }

  private init(_ doorbuster: Doorbuster, _ stock: StockClient) {
    self.doorbuster = doorbuster
    self.stock = stock
    worker = doorbuster.worker()
  }

  /// Bounds of a few seconds: longer than a busy machine takes, and short enough that a test sees all of them pass.
  static var configuration: DoorbusterConfiguration {
    var configuration = DoorbusterConfiguration()
    configuration.firstCheck = .seconds(4)
    configuration.purchaseDeadline = .milliseconds(2_500)
    configuration.storeFromLogAfter = .seconds(5)
    configuration.logInterval = .milliseconds(50)
    configuration.bucketLease = .seconds(1)
    configuration.upkeepInterval = .milliseconds(100)
    // Longer than the cluster's node time-out, which is 2 s.
    configuration.recovery.promotionGrace = .seconds(3)
    configuration.recovery.restartGrace = .milliseconds(2_500)
    return configuration
  }

  /// Puts the products on sale, so many units of each, and opens for the time of `body`.
  static func open<Value: Sendable>(
    _ shop: SpreadShop,
    stock units: Int64,
    of skus: [String] = [SpreadShop.sku],
    path: SalePath = .combined,
    _ services: Services = .withWorker,
    _ body: @Sendable (Counter) async throws -> Value
  ) async throws -> Value {
    let logger = Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() }
    let connection = RedisClient.Configuration(
      connectTimeout: .seconds(5),
      timeout: .seconds(5),
      backOff: BackOff(first: .milliseconds(1), longest: .milliseconds(50)),
      logger: logger
    )
    let stock = try await StockClient.connect(RedisServers(shop.redis), configuration: connection)
    let messages = try RedisClient(RedisURL(shop.broker), configuration: connection)
    let broker = RedisStreamsBroker(
      messages,
      options: RedisStreamsOptions(
        checkAfter: configuration.firstCheck,
        checkDelay: .seconds(1),
        retryDelay: .milliseconds(100),
        visibility: .seconds(3),
        pollInterval: .milliseconds(50)
      ),
      logger: logger
    )
    let orders = try await SQLiteStore.open(path: shop.databasePath, strategy: .groupCommit, logger: logger)
    let doorbuster = try Doorbuster(
      stock: stock,
      broker: broker,
      orders: orders,
      configuration: configuration,
      logger: logger
    )
    let counter = Counter(doorbuster, stock)
    let terms = SaleTerms(buckets: SpreadShop.buckets)
    for sku in skus { _ = try await doorbuster.createSale(SKU(sku), stock: units, terms: terms, path: path) }
    let value = try await counter.serving(services) { try await body(counter) }
    await broker.close()
    await messages.close()
    await stock.close()
    await orders.close()
    return value
  }

  private func serving<Value: Sendable>(
    _ services: Services,
    _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.doorbuster.run() }
      switch services {
      case .buyersOnly: break
      case .withWorker:
        group.addTask { try await self.worker.run() }
        group.addTask { try await self.doorbuster.checkBack().run() }
      }
      let value = try await body()
      group.cancelAll()
      return value
    }
  }

  /// Buys until there is a final answer, with a new token where an attempt was cancelled; then true if the units are theirs.
  @discardableResult
  func buy(_ user: UserID, _ name: String, quantity: Int64 = 1, isFirstAttempt: Bool = false) async throws -> Bool {
    try await purchase(user, name, quantity: quantity, isFirstAttempt: isFirstAttempt) != nil
  }

  /// Returns the token that has bought.
  private func purchase(
    _ user: UserID,
    _ name: String,
    quantity: Int64,
    isFirstAttempt: Bool
  ) async throws -> String? {
    let deadline = ContinuousClock.now + .seconds(60)
    var token = name
    var isFirst = isFirstAttempt
    while ContinuousClock.now < deadline {
      let purchase = try Purchase(
        sku: SKU(SpreadShop.sku),
        user: user,
        token: Token(token),
        quantity: quantity
      )
      switch await doorbuster.purchase(purchase, isFirstAttempt: isFirst) {
      case .accepted:
        tally.withLock { $0.bought[token] = quantity }
        return token
      case .refused(.soldOut, _):
        tally.withLock { tally in
          tally.soldOut += 1
          tally.smallestRefused = min(tally.smallestRefused, quantity)
        }
        return nil
      case .cancelled: token += "+"
      case .refused(.frozen, _), .unknown, .failed: break
      case .held, .refused(.limit, _), .refused(.early, _), .refused(.closed, _):
        tally.withLock { $0.others.append("\(token): another outcome than a buyer should hear") }
        return nil
      }
      isFirst = false
      // Servers that are away or frozen are asked again a little later.
      try await Task.sleep(for: .milliseconds(20))
    }
    tally.withLock { $0.others.append("\(token): no final answer within a minute") }
    return nil
  }

  /// Buys, and gives back what was bought.
  func buyAndCancel(_ user: UserID, _ name: String, quantity: Int64) async throws {
    guard let token = try await purchase(user, name, quantity: quantity, isFirstAttempt: false) else { return }
    tally.withLock { $0.bought[token] = nil }
    let (sku, deadline) = (try SKU(SpreadShop.sku), ContinuousClock.now + .seconds(60))
    while ContinuousClock.now < deadline, (try? await doorbuster.cancel(sku, token: Token(token))) == nil {
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  /// Buyers in twelve lanes, one after the other in each, until `body` has ended.
  static func whileSelling(
    _ buy: @Sendable @escaping (_ lane: Int, _ number: Int) async throws -> Void,
    _ body: () async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for lane in 0..<12 {
        group.addTask {
          var number = 0
          while !Task.isCancelled {
            number += 1
            try await buy(lane, number)
          }
        }
      }
      try await body()
      group.cancelAll()
      while let ended = await group.nextResult() {
        if case .failure(let error) = ended, !(error is CancellationError) { throw error }
      }
    }
  }

  /// Buyers, so many at a time.
  func crowd(
    _ count: Int,
    atATime: Int,
    _ buy: @escaping @Sendable (Counter, Int) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for first in 0..<min(atATime, count) {
        group.addTask(executorPreference: stock.taskExecutor) {
          for number in stride(from: first, to: count, by: atATime) { try await buy(self, number) }
        }
      }
      try await group.waitForAll()
    }
  }

  /// Waits until nothing is on its way to the database.
  func settle(_ sku: String = SpreadShop.sku) async throws {
    let sku = try SKU(sku)
    try await eventually("the books of \(sku) to settle", timeout: .seconds(60)) {
      try await doorbuster.status(sku).isSettled
    }
  }
}
