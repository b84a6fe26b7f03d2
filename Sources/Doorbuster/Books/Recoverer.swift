import Logging
import Messaging
import Orders
import Stock

/// Makes a sale's buckets whole again after their servers lost data: builds those that are gone anew, writes what the
/// others lack into them, and lets them sell again.
///
/// Buckets are frozen meanwhile, so nobody buys what belongs to somebody else. What is written is known by its name or token,
/// and absolute, so that it may be done again after a crash at any step, and by two at once. The thaw names the epoch that was
/// compared: a bucket that lost data again meanwhile stays frozen.
struct Recoverer {
  let access: SaleAccess
  let broker: BrokerBacklog?
  let settings: RecoverySettings
  /// Whether buckets that are gone are built anew. They may just be looked for on the wrong server, which people must say.
  let mayCreate: Bool
  let logger: Logger
  let progress: @Sendable (BooksProgress) -> Void
  var report: Recovery
  /// The epoch in which each bucket was seen last, and when it was seen first in it: each loss has a grace of its own.
  private var seen: [Int: (epoch: Int64, since: ContinuousClock.Instant)] = [:]

  /// How often it begins anew where buckets lose data, or get orders, again and again.
  private static let roundsMax = 5

  init(
    _ access: SaleAccess,
    broker: BrokerBacklog?,
    settings: RecoverySettings,
    mayCreate: Bool,
    logger: Logger,
    progress: @escaping @Sendable (BooksProgress) -> Void
  ) {
    self.access = access
    self.broker = broker
    self.settings = settings
    self.mayCreate = mayCreate
    self.logger = logger
    self.progress = progress
    report = Recovery(sku: access.sku)
  }

  /// - Throws: ``DoorbusterError`` `saleDiffers` where a bucket is another sale's; `bucketLost` where one is gone that may
  ///   not be built; `stock`, `orders`, `messaging`. What was written until then stays, buckets stay frozen, and the same
  ///   call goes on.
  mutating func run() async throws(DoorbusterError) -> Recovery {
    for round in 1... {
      do throws(DoorbusterError) {
        try await recover()
        return report
      } catch {
        let isBegunAnew = error.hasStockCode(.epochMismatch) || error.isNoBucket || error.hasStockCode(.logAhead)
        guard isBegunAnew, round < Self.roundsMax else { throw error }
        logger.notice("the completion of \(access.sku) begins anew: \(error.message)")
      }
    }
    return report
  }

  /// One round over all that needs work.
  private mutating func recover() async throws(DoorbusterError) {
    let found = try await condition()
    try requireNoneLost(found)
    if report.buckets.isEmpty { report.buckets = found.buckets.map { _ in .sound } }
    for index in found.needingWork {
      switch found.buckets[index] {
      case .lost: report.buckets[index] = .rebuilt
      case .stoppedByOperator: report.buckets[index] = .stoppedByOperator
      case .sound, .frozen, .strayed, .foreign:
        if report.buckets[index] != .rebuilt { report.buckets[index] = .completed }
      }
    }
    guard !found.needingWork.isEmpty else { return }
    for index in found.lost { try await create(index) }
    let work = try await workList(found.needingWork)
    try await waitOut(work)
    try await applyTerms(work)
    try await writeInUnits(work, isLast: false)
    try await drainMessages()
    let short = try await writeInOrders(work)
    // What a cancelled order gave back may have been moved away since.
    try await writeInUnits(work, isLast: true)
    if short > 0 { try await placeShortOrders(work) }
    try await replacePositions(work)
    try await thaw(work)
  }

  func condition() async throws(DoorbusterError) -> SaleCondition {
    let positions = try await access.positions()
    let condition = SaleCondition(access.sale, positions: positions, infos: try await access.infos())
    if let foreign = condition.foreign {
      throw DoorbusterError(.saleDiffers, "bucket \(access.bucket(foreign.index)) is another sale's: \(foreign.reason)")
    }
    return condition
  }

  /// - Throws: `bucketLost` where buckets are gone that may not be built.
  func requireNoneLost(_ condition: SaleCondition) throws(DoorbusterError) {
    guard mayCreate || condition.lost.isEmpty else {
      throw .bucketLost(access.sku, "buckets \(condition.lost) of \(access.sku) are gone")
    }
  }

  func show(_ step: String, _ done: Int64, of total: Int64?) {
    progress(BooksProgress(step: step, done: done, total: total, findings: Int64(report.findings.count)))
  }

  // MARK: Steps

  private func create(_ index: Int) async throws(DoorbusterError) {
    let sale = access.sale
    do throws(DoorbusterError) {
      try await access.askStock { stock throws(StockError) in
        try await stock.create(
          access.bucket(index),
          quantity: sale.share(of: sale.stock, bucket: index),
          terms: sale.terms,
          frozen: true
        )
      }
    } catch {
      // Somebody else recovers it, too.
      guard error.hasStockCode(.bucketExists) else { throw error }
    }
  }

  /// The buckets to be worked on, with their epochs and the database's positions of now.
  private func workList(_ indices: [Int]) async throws(DoorbusterError) -> RecoveryWork {
    var work = RecoveryWork()
    work.positions = try await access.positions()
    for index in indices { work.infos[index] = try await access.info(index) }
    return work
  }

  /// Waits for the end of the buckets' graces, each from its discovery.
  private mutating func waitOut(_ work: RecoveryWork) async throws(DoorbusterError) {
    let now = access.clock.now
    var end = now
    for (index, info) in work.sorted {
      if seen[index]?.epoch != info.epoch { seen[index] = (info.epoch, now) }
      guard let since = seen[index]?.since else { continue }
      end = max(end, since.advanced(by: settings.grace(of: info.frozen)))
    }
    guard end > now else { return }
    let grace = now.duration(to: end)
    show("s until the servers that failed have stopped", max(1, grace.wholeMs / 1000), of: nil)
    try await access.wait(grace)
  }

  /// The terms may have changed since the bucket's last write.
  private func applyTerms(_ work: RecoveryWork) async throws(DoorbusterError) {
    let terms = try await access.terms()
    for (index, info) in work.sorted where !info.hasTerms(terms) { try await access.apply(terms, in: index) }
  }

  /// What was committed and not recorded yet carries purchases that a bucket may have lost: they must be orders before
  /// the orders are written in.
  private mutating func drainMessages() async throws(DoorbusterError) {
    guard let broker else { return }
    let end = access.clock.now.advanced(by: settings.drainMax)
    while true {
      report.messagesOnTheirWay = try await broker.unacknowledged()
      guard report.messagesOnTheirWay > 0, access.clock.now < end else { return }
      show("messages to be recorded", report.messagesOnTheirWay, of: nil)
      try await access.wait(.milliseconds(100))
    }
  }

  /// The log is followed anew, in its new epoch: from the first event that an order may have to hear of.
  ///
  /// Only if the database is where it was before its orders were read: a worker may have read events that the bucket lost,
  /// and have stored them since, as orders that were not written in. From then on it is refused them.
  private func replacePositions(_ work: RecoveryWork) async throws(DoorbusterError) {
    for (index, info) in work.sorted {
      let bucket = access.bucket(index)
      let old = work.positions[index]
      let now = try await access.info(index)
      guard now.epoch == info.epoch else { throw .epochChanged(bucket) }
      guard old?.isFollowed(in: now) != true else { continue }
      let new = try await access.firstPosition(index, now)
      let held = try await access.askDatabase { orders throws(OrderStoreError) in
        try await orders.replacePosition(of: bucket, old, with: new)
      }
      if held == new { continue }
      // Another one may have come first, and been followed since.
      guard let held, held.epoch == info.epoch, held.sequence <= (try await access.info(index)).logLast else {
        throw .positionMoved(bucket)
      }
    }
  }

  private mutating func thaw(_ work: RecoveryWork) async throws(DoorbusterError) {
    for (index, info) in work.sorted {
      let now = try await access.info(index)
      guard now.epoch == info.epoch else { throw .epochChanged(access.bucket(index)) }
      switch now.frozen {
      case nil: continue
      case .operator: report.buckets[index] = .stoppedByOperator
      case .create, .load, .promotion:
        do throws(DoorbusterError) {
          try await access.askStock { stock throws(StockError) in
            try await stock.thaw(access.bucket(index), epoch: info.epoch)
          }
        } catch {
          guard error.hasStockCode(.frozenByOperator) else { throw error }
          report.buckets[index] = .stoppedByOperator
        }
      }
    }
  }
}

/// The buckets that a round works on, and their books when it began: their epochs above all.
struct RecoveryWork: Hashable, Sendable {
  var infos: [Int: BucketInfo] = [:]
  /// The database's, before any of its orders was read.
  var positions: [Int: LogPosition] = [:]

  var sorted: [(Int, BucketInfo)] { infos.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

  func contains(_ index: Int) -> Bool { infos[index] != nil }

  /// The first that was created to be filled.
  var created: Int? { sorted.first { $0.1.frozen == .create }?.0 }
}

/// How many messages wait, of all sales.
struct BrokerBacklog: Sendable {
  let broker: any MessageBroker
  let topic: Topic
  let group: ConsumerGroup

  func unacknowledged() async throws(DoorbusterError) -> Int64 {
    let status = try await asking(broker: broker) { broker throws(MessagingError) in
      try await broker.status(of: topic, for: group)
    }
    return Int64(status.unacknowledged)
  }
}

extension DoorbusterError {
  static func epochChanged(_ bucket: BucketID) -> DoorbusterError {
    DoorbusterError(StockError(.epochMismatch, "bucket \(bucket) is in another epoch than when its completion began"))
  }

  static func positionMoved(_ bucket: BucketID) -> DoorbusterError {
    DoorbusterError(
      StockError(.epochMismatch, "the database has followed bucket \(bucket) on since its completion began")
    )
  }
}

extension SaleAccess {
  /// The place before the first event that an order may have to hear of. What was written in came from the database.
  func firstPosition(_ index: Int, _ info: BucketInfo) async throws(DoorbusterError) -> LogPosition {
    var position = LogPosition(epoch: info.epoch, sequence: info.logFirst - 1)
    while position.sequence < info.logLast {
      let from = position
      let events = try await askStock { stock throws(StockError) in
        try await stock.log(bucket(index), after: from, count: 10_000)
      }
      for event in events {
        if event.concernsOrder { return position }
        position.sequence = event.sequence
      }
      if events.isEmpty { return position }
    }
    return position
  }
}

extension StockEvent {
  /// Whether a buyer, or time, moved a purchase.
  fileprivate var concernsOrder: Bool {
    switch action {
    case .deduct, .hold, .confirm, .cancel, .expire: true
    case .create, .add, .fence, .withdraw, .deposit, .rebalance, .record, .schedule, .freeze, .thaw: false
    }
  }
}
