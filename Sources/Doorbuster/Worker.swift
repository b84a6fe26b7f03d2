import Logging
import Messaging
import Orders
import ServiceLifecycle
import Stock

/// Brings purchases into the database: consumes their messages, follows the logs of the buckets that are leased to it,
/// trims both, completes buckets that come up frozen, ends the holds that are over on the path `database`, and keeps the
/// stock of sales of several buckets where it is bought. Any number of processes may run one; each part
/// survives outages of its server.
///
/// The broker is asked for nothing before there is a sale that delivers by messages, nor Redis before there is one that
/// sells in buckets.
public final class Worker: Service {
  private let stock: any StockService
  private let broker: any MessageBroker
  private let orders: any OrderStore
  private let sales: SaleWatch
  private let clock: any SaleClock
  private let configuration: DoorbusterConfiguration
  private let logger: Logger
  private let tally = WorkerTally()

  init(
    stock: any StockService,
    broker: any MessageBroker,
    orders: any OrderStore,
    sales: SaleWatch,
    clock: any SaleClock,
    configuration: DoorbusterConfiguration,
    logger: Logger
  ) {
    self.stock = stock
    self.broker = broker
    self.orders = orders
    self.sales = sales
    self.clock = clock
    self.configuration = configuration
    self.logger = logger
  }

  /// What was done so far. May be read at any time.
  public var counters: WorkerCounters { tally.value }

  /// Works until the task is cancelled or the process shuts down gracefully; the batch under way is finished first.
  /// - Throws: ``DoorbusterError`` for what waiting can't mend (wrong password, no permission).
  public func run() async throws {
    try await cancelWhenGracefulShutdown { try await self.work() }
    let counters = counters
    logger.info("the worker stops after \(counters.deliveries) messages and \(counters.logEvents) log events")
  }

  private func work() async throws {
    let claims = BucketClaims(orders: orders, clock: clock, leaseMsMin: configuration.bucketLease.wholeMs)
    try await withThrowingTaskGroup(of: Void.self) { [sales] group in
      group.addTask { try await self.consume(once: sales) }
      group.addTask { await self.followLogs(sales, claims) }
      group.addTask { await self.keeper(claims).run(sales) }
      group.addTask { await self.expireHolds(sales) }
      group.addTask { await self.rebalance(sales) }
      try await group.waitForAll()
    }
  }

  /// Consumes and trims the topic, from the first sale on that delivers by messages.
  private func consume(once sales: SaleWatch) async throws {
    guard await sales.first(where: { $0.path.courier == .messages }), try await subscribe() else { return }
    let recorder = OrderRecorder(stock: stock, orders: orders, clock: clock, tally: tally, logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<configuration.consumers {
        group.addTask { try await self.consume(recorder) }
      }
      group.addTask { await self.trim() }
      try await group.waitForAll()
    }
  }

  /// False where the worker was stopped before the broker could be reached.
  private func subscribe() async throws(DoorbusterError) -> Bool {
    var backOff = BackOff()
    while !Task.isCancelled {
      do throws(MessagingError) {
        try await broker.subscribe(configuration.group, to: configuration.topic)
        return true
      } catch {
        guard error.isTransient else { throw DoorbusterError(error) }
        logger.warning("the broker can't be reached: \(error.message)")
        guard await clock.wait(ms: backOff.failed().jittered) else { return false }
      }
    }
    return false
  }

  private func consume(_ recorder: OrderRecorder) async throws(DoorbusterError) {
    var backOff = BackOff()
    while !Task.isCancelled {
      do throws(MessagingError) {
        try await broker.consume(
          configuration.topic,
          as: configuration.group,
          batchMax: configuration.batchMax,
          handler: recorder
        )
        backOff.succeeded()
      } catch {
        guard error.isTransient else { throw DoorbusterError(error) }
        logger.warning("consuming \(configuration.topic) ended: \(error.message)")
      }
      guard await clock.wait(ms: backOff.failed().jittered) else { return }
    }
  }

  /// A task for each bucket that is ours, of the sales that the database knows, new ones included.
  private func followLogs(_ sales: SaleWatch, _ claims: BucketClaims) async {
    await withDiscardingTaskGroup { group in
      await sales.withEach { known throws(OrderStoreError) in
        let round = await claims.claim(known.filter { $0.path.courier != nil })
        for (sku, error) in round.failed { logger.warning("the buckets of \(sku) can't be claimed: \(error.message)") }
        // Each is begun once, so it must be followed whatever has failed.
        for (sale, bucket) in round.begun {
          guard let follower = follower(of: bucket, sale) else { continue }
          group.addTask {
            repeat { await follower.run { claims.isOurs(bucket) } } while !Task.isCancelled && !claims.end(bucket)
          }
        }
      }
    }
    await uncancelled { [logger] in await claims.release(logger: logger) }
  }

  private func keeper(_ claims: BucketClaims) -> BucketKeeper {
    BucketKeeper(
      stock: stock,
      broker: broker,
      orders: orders,
      clock: clock,
      configuration: configuration,
      tally: tally,
      logger: logger,
      isOurs: { claims.isOurs($0) }
    )
  }

  private func follower(of bucket: BucketID, _ sale: Sale) -> LogFollower? {
    guard let courier = sale.path.courier else { return nil }
    let interval =
      switch courier {
      case .messages: configuration.logInterval
      case .log: configuration.logDeliveryInterval
      }
    let settings = FollowMachine.Settings(
      courier: courier,
      batchMax: configuration.logBatchMax,
      intervalMs: max(1, interval.wholeMs),
      idleIntervalMs: max(1, configuration.logInterval.wholeMs) * 5,
      overdueMs: configuration.storeFromLogAfter.wholeMs,
      cartHoldMs: configuration.cartHold.wholeMs
    )
    return LogFollower(
      bucket: bucket,
      stock: stock,
      orders: orders,
      clock: clock,
      settings: settings,
      kept: Int64(configuration.logKept),
      tally: tally,
      logger: logger
    )
  }

  /// Keeps stock where it is bought, and finishes what others have left in transfer.
  private func rebalance(_ sales: SaleWatch) async {
    await Rebalancer(stock: stock, clock: clock, sales: sales, logger: logger).work()
  }

  /// Ends the holds that are over, of the sales that the database decides.
  private func expireHolds(_ sales: SaleWatch) async {
    await sales.withEach { known throws(OrderStoreError) in
      for sale in known where sale.path == .database {
        var ended = 0
        repeat {
          ended = try await orders.expireHolds(of: sale.sku, nowMs: clock.wallMs, limit: Self.holdsMax)
          tally.add { $0.expired += Int64(ended) }
        } while ended == Self.holdsMax && !Task.isCancelled
      }
    }
  }

  private static let holdsMax = 1000

  private func trim() async {
    while await clock.wait(ms: configuration.upkeepInterval.wholeMs) {
      do throws(MessagingError) {
        let trimmed = try await broker.trim(configuration.topic)
        if trimmed > 0 { tally.add { $0.trimmed += Int64(trimmed) } }
      } catch {
        logger.debug("the topic \(configuration.topic) was not trimmed: \(error.message)")
      }
    }
  }
}

extension Sale {
  /// All buckets of the sale, in order; none on the path `database`.
  var buckets: [BucketID] {
    path == .database ? [] : (0..<max(terms.buckets, 1)).map { BucketID(sku: sku, index: $0) }
  }
}
