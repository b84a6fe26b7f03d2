import Logging
import Messaging
import Orders
import Stock
import Synchronization

/// Looks after the buckets of a worker: completes those that come up frozen and lets them sell again, without a hand; and
/// ends holds that were written in, which have no end of their own.
///
/// Each bucket is looked after by the worker that follows its log. That saves double work and no more: two may complete the
/// same sale at once. What an operator has frozen stays as it is.
struct BucketKeeper: Sendable {
  let stock: any StockService
  let broker: any MessageBroker
  let orders: any OrderStore
  let clock: any SaleClock
  let configuration: DoorbusterConfiguration
  /// Whether a bucket is this worker's at the moment.
  let isOurs: @Sendable (BucketID) -> Bool
  let tally: WorkerTally
  let logger: Logger

  var settings = BooksSettings()
  private let state = KeeperState()

  /// Buckets asked in one interval; where there are more, each is asked more seldom.
  static let askedMax = 1000
  /// How long a bucket's answer is waited for.
  static let answerMax = Duration.seconds(1)
  /// Holds are looked for that often, in intervals.
  static let holdTurns = 5

  init(
    stock: any StockService,
    broker: any MessageBroker,
    orders: any OrderStore,
    clock: any SaleClock,
    configuration: DoorbusterConfiguration,
    tally: WorkerTally,
    logger: Logger,
    isOurs: @escaping @Sendable (BucketID) -> Bool
  ) {
    self.stock = stock
    self.broker = broker
    self.orders = orders
    self.clock = clock
    self.configuration = configuration
    self.tally = tally
    self.logger = logger
    self.isOurs = isOurs
  }

  /// Keeps until the task is cancelled.
  func run(_ sales: SaleWatch) async {
    await withDiscardingTaskGroup { group in
      var turn = 0
      await sales.withEach { known throws(OrderStoreError) in
        let kept = known.filter { $0.path.courier != nil }
        for sale in await frozen(kept, turn: turn) where state.begin(sale.sku) {
          group.addTask {
            await complete(sale)
            state.end(sale.sku)
          }
        }
        if turn % Self.holdTurns == 0, state.beginSearch() {
          group.addTask {
            for sale in kept { await endHolds(of: sale) }
            state.endSearch()
          }
        }
        turn += 1
      }
    }
  }

  // MARK: Frozen buckets

  /// The sales of which a frozen bucket is ours, in their order.
  private func frozen(_ sales: [Sale], turn: Int) async -> [Sale] {
    let ours = sales.flatMap { $0.buckets.filter(isOurs) }
    let turns = ours.count / Self.askedMax + 1
    let asked = ours.enumerated()
      .filter { place, bucket in place % turns == turn % turns && !state.isWorking(on: bucket.sku) }
      .map(\.element)
    let infos = await infos(of: asked)
    let found = Set(asked.filter { infos[$0]?.frozen?.isEndedByCompletion ?? false }.map(\.sku))
    return sales.filter { found.contains($0.sku) }
  }

  /// The books of the buckets that answer in time. All are asked at once, so that a server that does not answer holds up
  /// none of the others; its buckets are asked again.
  private func infos(of buckets: [BucketID]) async -> [BucketID: BucketInfo] {
    let answers = await clock.all(buckets, by: clock.now.advanced(by: Self.answerMax)) { bucket throws(StockError) in
      try await stock.info(bucket)
    }
    var infos: [BucketID: BucketInfo] = [:]
    for (bucket, answer) in zip(buckets, answers) { infos[bucket] = try? answer.get() }
    return infos
  }

  /// Completes a sale whose buckets are all there. One that is gone is never built here, whenever that is found.
  private func complete(_ sale: Sale) async {
    let access = SaleAccess(sale: sale, stock: stock, orders: orders, clock: clock, settings: settings)
    let backlog = BrokerBacklog(broker: broker, topic: configuration.topic, group: configuration.group)
    var recoverer = Recoverer(
      access,
      broker: sale.path.courier == .messages ? backlog : nil,
      settings: configuration.recovery,
      mayCreate: false,
      logger: logger,
      progress: { _ in }
    )
    do throws(DoorbusterError) {
      let condition = try await recoverer.condition()
      guard let first = condition.frozen.first, isOurs(access.bucket(first)) else { return }
      try recoverer.requireNoneLost(condition)
      logger.notice("buckets \(condition.frozen) of \(sale.sku) came up frozen, and are completed")
      let report = try await recoverer.run()
      tally.add { $0.completedBuckets += Int64(condition.frozen.count) }
      state.forget(sale.sku)
      logger.notice("\(sale.sku) sells again: \(report.summary)")
      if report.messagesOnTheirWay > 0 { try await writeInLateOrders(recoverer) }
    } catch {
      state.tell(sale.sku, "the frozen buckets of \(sale.sku) can't be completed yet: \(error.message)", logger)
    }
  }

  /// Messages that were not recorded when the buckets were thawed have carried purchases that may be lost there.
  private func writeInLateOrders(_ recoverer: Recoverer) async throws(DoorbusterError) {
    var recoverer = recoverer
    try await recoverer.access.wait(configuration.storeFromLogAfter)
    try await recoverer.writeInLateOrders()
  }

  // MARK: Holds

  /// Cancels holds that were written in and whose order is too old.
  private func endHolds(of sale: Sale) async {
    let access = SaleAccess(sale: sale, stock: stock, orders: orders, clock: clock, settings: settings)
    do throws(DoorbusterError) {
      let buckets = try await bucketsToBeSearched(access)
      guard !buckets.isEmpty else { return }
      var search = RecordedHolds(maxMs: configuration.recovery.holdMax.wholeMs)
      try await access.eachHeldOrder(in: Set(buckets.keys)) { order, record throws(DoorbusterError) in
        guard let due = search.due(order, record, nowMs: clock.wallMs) else { return }
        _ = try await access.cancel(due, in: order.order.bucket, offSale: false)
        tally.add { $0.endedHolds += 1 }
        logger.notice("a hold of \(sale.sku) that was written in is over: token \(due) is cancelled")
      }
      state.searched(sale.sku, buckets, againMs: search.nextMs(nowMs: clock.wallMs))
    } catch {
      logger.debug("the holds of \(sale.sku) that were written in are left for later: \(error.message)")
    }
  }

  /// Our buckets that answer, have holds and were not searched in their epoch, or whose time has come again.
  private func bucketsToBeSearched(_ access: SaleAccess) async throws(DoorbusterError) -> [Int: Int64] {
    let ours = access.sale.buckets.filter(isOurs)
    guard !ours.isEmpty, (try await access.totals().orders[.held] ?? 0) > 0 else { return [:] }
    var due: [Int: Int64] = [:]
    for (bucket, info) in await infos(of: ours)
    where info.held > 0 && state.isToBeSearched(bucket, epoch: info.epoch, nowMs: clock.wallMs) {
      due[bucket.index] = info.epoch
    }
    return due
  }
}

extension FrozenReason {
  /// Whether the bucket is frozen until it is complete.
  var isEndedByCompletion: Bool {
    switch self {
    case .create, .load, .promotion: true
    case .operator: false
    }
  }
}

/// What a keeper remembers between its turns.
private final class KeeperState: Sendable {
  private struct Values {
    var working: Set<SKU> = []
    var isSearching = false
    /// What was last told of a sale, so that it is told once.
    var told: [SKU: String] = [:]
    /// In which epoch a bucket was searched for holds, and when it is to be searched again.
    var searched: [BucketID: (epoch: Int64, againMs: Int64)] = [:]
  }

  private let values = Mutex(Values())

  /// False where somebody works on it.
  func begin(_ sku: SKU) -> Bool { values.withLock { $0.working.insert(sku).inserted } }

  func end(_ sku: SKU) { values.withLock { _ = $0.working.remove(sku) } }

  func isWorking(on sku: SKU) -> Bool { values.withLock { $0.working.contains(sku) } }

  /// False while holds are searched for.
  func beginSearch() -> Bool {
    values.withLock { values in
      defer { values.isSearching = true }
      return !values.isSearching
    }
  }

  func endSearch() { values.withLock { $0.isSearching = false } }

  func tell(_ sku: SKU, _ text: String, _ logger: Logger) {
    let isNew = values.withLock { values in
      defer { values.told[sku] = text }
      return values.told[sku] != text
    }
    if isNew { logger.error("\(text)") }
  }

  func forget(_ sku: SKU) { values.withLock { $0.told[sku] = nil } }

  func isToBeSearched(_ bucket: BucketID, epoch: Int64, nowMs: Int64) -> Bool {
    guard let last = values.withLock({ $0.searched[bucket] }) else { return true }
    return last.epoch != epoch || last.againMs <= nowMs
  }

  func searched(_ sku: SKU, _ epochs: [Int: Int64], againMs: Int64) {
    values.withLock { values in
      for (index, epoch) in epochs { values.searched[BucketID(sku: sku, index: index)] = (epoch, againMs) }
    }
  }
}

extension Recovery {
  var summary: String {
    let written = orders.values.reduce(0, +)
    return """
      \(written) orders, \(restocks) restocks and \(transfers) halves of transfers were written in, \(moved) orders got units of \
      other buckets, \(findings.count) findings
      """
  }
}
