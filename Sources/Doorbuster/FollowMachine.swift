import Messaging
import Orders
import Stock

/// Follows one bucket's log into the database, reading by reading, in either delivery.
///
/// Where the log delivers, every purchase is stored from it, in one transaction with the position. Where messages
/// deliver, the position waits for the message of a young purchase, and what is overdue is stored from the log.
///
/// The database stops before a purchase whose stock is short or whose token's row is another purchase. It stays in front
/// of the position until it is settled, so a crash at any step finds it again. An order that the database can't write
/// for its own sake is reported and passed, as it must not hold up its neighbours.
struct FollowMachine {
  enum Action: Hashable {
    case loadPosition
    case readEpoch
    case read(after: LogPosition)
    /// Asks what the bucket knows of tokens whose events don't tell it.
    case lookUp([Token])
    case follow(LogBatch)
    /// Finds out whether orders whose stock is short are to wait.
    case relieve(ShortageMachine)
    case settle([SettlementMachine])
    /// Tries one order alone that the database refuses among others.
    case record([Order], as: OrderState)
    /// Tells of an event that the database can't take; ``passed()`` goes on.
    case report(String)
    case wait(ms: Int64)
    /// The log can't be followed until an operator acts. After a long wait it is tried again from ``start()``.
    case halt(String)
  }

  struct Settings: Hashable {
    var courier: Courier
    var batchMax: Int
    var intervalMs: Int64
    var idleIntervalMs: Int64
    /// Age at which a purchase is stored from the log, where messages deliver.
    var overdueMs: Int64
    /// How long a cart's holds last.
    var cartHoldMs: Int64
  }

  private enum State {
    case idle
    case reading(LogPosition)
    case lookingUp(LogPosition, [StockEvent])
    /// So many of the reading's steps are tried.
    case following(LogReading, count: Int)
    case relieving(LogReading, [Order])
    case settling(LogReading, [SettlementMachine])
    case recordingAlone(LogReading)
    case reporting(LogReading)
    /// Nil: from the beginning.
    case waiting(LogPosition?)
  }

  private let bucket: BucketID
  private let settings: Settings
  private var state = State.idle
  private var backOff = BackOff(firstMs: 100, maxMs: 5000)
  private var quietMs: Int64
  /// Whether the reading under way was a full one, so that there is more to be read.
  private var isFull = false
  /// An event that was tried alone.
  private var triedAlone: Int64?
  /// Readings in a row from a position behind which nothing was left.
  private var trimmedReads = 0

  init(_ bucket: BucketID, settings: Settings) {
    self.bucket = bucket
    self.settings = settings
    quietMs = settings.intervalMs
  }

  mutating func start() -> Action {
    state = .idle
    return .loadPosition
  }

  mutating func positioned(_ position: LogPosition?) -> Action {
    guard let position else { return .readEpoch }
    return read(position)
  }

  mutating func epoch(_ epoch: Int64) -> Action { read(LogPosition(epoch: epoch, sequence: 0)) }

  /// `nowMs` is the wall clock's; the events carry the bucket's. A difference between the two makes a purchase overdue
  /// sooner or later, and nothing else.
  mutating func read(_ events: [StockEvent], nowMs: Int64) -> Action {
    guard case .reading(let position) = state else { return start() }
    backOff.succeeded()
    trimmedReads = 0
    guard !events.isEmpty else {
      defer { quietMs = min(quietMs * 2, settings.idleIntervalMs) }
      return wait(ms: quietMs, then: position)
    }
    quietMs = settings.intervalMs
    isFull = events.count >= settings.batchMax
    let untold = LogReading.untold(in: events, rules(nowMs: nowMs))
    guard untold.isEmpty else {
      state = .lookingUp(position, events)
      return .lookUp(untold)
    }
    return follow(position, events, [:], nowMs: nowMs)
  }

  mutating func found(_ records: [Token: PurchaseRecord], nowMs: Int64) -> Action {
    guard case .lookingUp(let position, let events) = state else { return start() }
    return follow(position, events, records, nowMs: nowMs)
  }

  mutating func followed(_ outcome: LogBatchOutcome) -> Action {
    guard case .following(let reading, _) = state else { return start() }
    backOff.succeeded()
    guard outcome.applied else { return adopt(outcome.position, insteadOf: reading.from) }
    let rest = reading.rest(after: outcome.position)
    guard let stop = outcome.stop else {
      if !rest.steps.isEmpty { return follow(rest) }
      return isFull ? read(outcome.position) : wait(ms: settings.intervalMs, then: outcome.position)
    }
    guard let (order, orderState) = rest.firstPurchase else { return start() }
    switch stop.reason {
    case .missing: return wait(ms: settings.intervalMs, then: outcome.position)
    case .rejected: return settle(rest, [SettlementMachine(order: order, outcome: .alreadyRecorded(.rejected))])
    case .conflict(let row): return settle(rest, [SettlementMachine(order: order, outcome: .conflict(row))])
    case .short:
      let orders = rest.purchases(in: orderState)
      state = .relieving(rest, orders)
      return .relieve(ShortageMachine(bucket.sku, orders, as: orderState, readMax: Reliever.readMax))
    }
  }

  /// One outcome per order that was short.
  mutating func relieved(_ outcomes: [RecordOutcome]) -> Action {
    guard case .relieving(let reading, let orders) = state, outcomes.count == orders.count else { return start() }
    // Those that are written, refused or in conflict the database tells of again when it comes to them.
    let rejected = zip(orders, outcomes).map { SettlementMachine(order: $0, outcome: $1) }.filter(\.isRejected)
    guard rejected.isEmpty else { return settle(reading, rejected) }
    if case .short = outcomes.first { return wait(ms: backOff.failed(), then: reading.from) }
    return follow(reading)
  }

  /// One disposition per settlement asked for. Those that failed are tried again before the position moves past them.
  mutating func settled(_ dispositions: [Disposition]) -> Action {
    guard case .settling(var reading, let settlements) = state else { return start() }
    guard isSettled(settlements, dispositions) else { return wait(ms: backOff.failed(), then: reading.from) }
    reading.passOver(Set(settlements.compactMap(\.order.sequence)))
    return follow(reading)
  }

  /// The outcome of an order that was tried alone.
  mutating func recorded(_ outcomes: [RecordOutcome]) -> Action {
    guard case .recordingAlone(let reading) = state, let outcome = outcomes.first else { return start() }
    if case .refused(let reason) = outcome { return report(reading, reason) }
    // Whatever else it is, the database tells of it again when it comes to it.
    return follow(reading)
  }

  mutating func passed() -> Action {
    guard case .reporting(var reading) = state else { return start() }
    reading.passOver([reading.from.sequence + 1])
    return follow(reading)
  }

  mutating func ordersFailed(_ error: OrderStoreError) -> Action {
    switch state {
    case .following(let reading, let count) where error.code == .refused: return isolate(reading, count, error)
    // The commit may have happened: reading from the position before it finds out.
    case .following(let reading, _): return wait(ms: backOff.failed(), then: reading.from)
    case .recordingAlone(let reading) where error.code == .refused: return report(reading, error.message)
    case .idle, .reading, .lookingUp, .relieving, .settling, .recordingAlone, .reporting, .waiting:
      return wait(ms: backOff.failed(), then: nil)
    }
  }

  mutating func stockFailed(_ error: StockError) -> Action {
    switch error.code {
    case .logTrimmed where trimmedReads < 3:
      // Another worker has moved the position, and trimmed behind it.
      trimmedReads += 1
      return start()
    case .epochMismatch, .logAhead, .logTrimmed, .protocolViolation, .wrongType: return halt(error.message)
    case .noBucket:
      // Before the first position the bucket is still to be set up; after it, the bucket is lost.
      guard case .reading = state else { return wait(ms: backOff.failed(), then: nil) }
      return halt(error.message)
    default: return wait(ms: backOff.failed(), then: nil)
    }
  }

  mutating func woke() -> Action {
    guard case .waiting(let position?) = state else { return start() }
    return read(position)
  }
}

extension FollowMachine {
  private mutating func read(_ position: LogPosition) -> Action {
    state = .reading(position)
    return .read(after: position)
  }

  private mutating func follow(
    _ position: LogPosition,
    _ events: [StockEvent],
    _ records: [Token: PurchaseRecord],
    nowMs: Int64
  ) -> Action {
    do throws(StockError) {
      return follow(
        try LogReading(
          bucket: bucket,
          from: position,
          events: events,
          records: records,
          rules: rules(nowMs: nowMs)
        )
      )
    } catch {
      return halt(error.message)
    }
  }

  private func rules(nowMs: Int64) -> LogReading.Rules {
    LogReading.Rules(
      courier: settings.courier,
      overdueMs: nowMs - settings.overdueMs,
      cartHoldMs: settings.cartHoldMs
    )
  }

  private mutating func follow(_ reading: LogReading, count: Int? = nil) -> Action {
    let count = count ?? reading.steps.count
    state = .following(reading, count: count)
    return .follow(reading.batch(count))
  }

  /// Another worker follows this bucket too, and has moved the position.
  private mutating func adopt(_ position: LogPosition, insteadOf mine: LogPosition) -> Action {
    guard position.epoch == mine.epoch else {
      return halt("the database follows \(bucket) in epoch \(position.epoch); the bucket is in epoch \(mine.epoch)")
    }
    return position == mine ? wait(ms: settings.intervalMs, then: position) : read(position)
  }

  /// A batch that the database refuses is halved until the culprit stands alone.
  private mutating func isolate(_ reading: LogReading, _ count: Int, _ error: OrderStoreError) -> Action {
    if count > 1 { return follow(reading, count: count / 2) }
    let sequence = reading.steps.first?.sequence
    guard let (order, orderState) = reading.firstPurchase, orderState.isOpen, triedAlone != sequence else {
      return report(reading, error.message)
    }
    triedAlone = sequence
    state = .recordingAlone(reading)
    return .record([order], as: orderState)
  }

  private mutating func report(_ reading: LogReading, _ reason: String) -> Action {
    state = .reporting(reading)
    return .report("event \(reading.from.sequence + 1) of \(bucket) is passed over: \(reason)")
  }

  private mutating func settle(_ reading: LogReading, _ settlements: [SettlementMachine]) -> Action {
    state = .settling(reading, settlements)
    return .settle(settlements)
  }

  private mutating func wait(ms: Int64, then position: LogPosition?) -> Action {
    state = .waiting(position)
    return .wait(ms: ms)
  }

  private mutating func halt(_ reason: String) -> Action {
    state = .idle
    return .halt(reason)
  }

  private func isSettled(_ settlements: [SettlementMachine], _ dispositions: [Disposition]) -> Bool {
    guard dispositions.count == settlements.count else { return false }
    return dispositions.allSatisfy { disposition in
      switch disposition {
      case .acknowledge, .deadLetter: true
      case .retry(_, let countsAsAttempt): countsAsAttempt
      }
    }
  }
}

extension OrderState {
  /// Whether an order begins so.
  fileprivate var isOpen: Bool {
    switch self {
    case .held, .sold: true
    case .cancelled, .rejected: false
    }
  }
}
