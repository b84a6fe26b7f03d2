import Logging
import Messaging
import Orders
import ServiceLifecycle
import Stock

/// Brings purchases into the database: consumes their messages, follows the logs of all buckets of all sales, and trims
/// the topic. Any number of processes may run one; each part survives outages of its server.
public final class Worker: Service {
  private let stock: any StockService
  private let broker: any MessageBroker
  private let orders: any OrderStore
  private let clock: any SaleClock
  private let configuration: DoorbusterConfiguration
  private let logger: Logger
  private let tally = WorkerTally()

  init(
    stock: any StockService,
    broker: any MessageBroker,
    orders: any OrderStore,
    clock: any SaleClock,
    configuration: DoorbusterConfiguration,
    logger: Logger
  ) {
    self.stock = stock
    self.broker = broker
    self.orders = orders
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
    guard try await subscribe() else { return }
    let recorder = OrderRecorder(
      orders: orders,
      settler: Settler(stock: stock),
      clock: clock,
      tally: tally,
      logger: logger
    )
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<configuration.consumers {
        group.addTask { try await self.consume(recorder) }
      }
      group.addTask { await self.followLogs() }
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

  /// A task for each bucket of each sale that the database knows, new ones included.
  private func followLogs() async {
    let settings = FollowMachine.Settings(
      batchMax: configuration.logBatchMax,
      recordMax: configuration.batchMax,
      intervalMs: max(1, configuration.logInterval.wholeMs),
      idleIntervalMs: max(1, configuration.logInterval.wholeMs) * 5,
      overdueMs: configuration.storeFromLogAfter.wholeMs
    )
    await withDiscardingTaskGroup { group in
      var followed: Set<BucketID> = []
      var backOff = BackOff()
      while !Task.isCancelled {
        do throws(OrderStoreError) {
          for bucket in try await orders.sales().flatMap(\.buckets) where followed.insert(bucket).inserted {
            let follower = follower(of: bucket, settings)
            group.addTask { await follower.run() }
          }
          backOff.succeeded()
          guard await clock.wait(ms: configuration.upkeepInterval.wholeMs) else { return }
        } catch {
          logger.warning("the sales can't be listed: \(error.message)")
          guard await clock.wait(ms: backOff.failed().jittered) else { return }
        }
      }
    }
  }

  private func follower(of bucket: BucketID, _ settings: FollowMachine.Settings) -> LogFollower {
    LogFollower(
      bucket: bucket,
      stock: stock,
      orders: orders,
      settler: Settler(stock: stock),
      clock: clock,
      settings: settings,
      tally: tally,
      logger: logger
    )
  }

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
  /// All buckets of the sale, in order.
  var buckets: [BucketID] { (0..<max(terms.buckets, 1)).map { BucketID(sku: sku, index: $0) } }
}
