import Messaging
import Orders
import Stock

/// Follows one bucket's log into the database, reading by reading.
///
/// A purchase that is overdue (older than the check's bound) is recorded like a message **before** the position may
/// pass it, and so is settled where the database rejects it. The position moves only after that, so a crash at any step
/// finds the same purchase before the position again, hears `alreadyRecorded(rejected)`, and settles it again.
/// Younger purchases without an order make the position wait for their messages. An order that the
/// database can't write for its own sake is reported and passed, as it must not hold up its neighbours.
///
/// A conflict that the database finds while the position passes is a young purchase's (an overdue one's was settled
/// before). A crash right then forgets it here, and not for good: its message is not acknowledged before it has met the
/// same conflict and settled it. A rejection is never found that late: what is passed without a row is cancelled
/// already, and takes no stock.
struct FollowMachine {
  enum Action: Hashable {
    case loadPosition
    case readEpoch
    case read(after: LogPosition)
    case record([Order])
    case settle([SettlementMachine])
    case follow(LogBatch)
    case wait(ms: Int64)
    /// The log can't be followed until an operator acts. After a long wait it is tried again from ``start()``.
    case halt(String)
  }

  struct Settings: Hashable {
    var batchMax: Int
    var recordMax: Int
    var intervalMs: Int64
    var idleIntervalMs: Int64
    var overdueMs: Int64
  }

  private enum State {
    case idle
    case reading(LogPosition)
    /// Overdue purchases of the reading, from that index on, are being recorded.
    case recording(LogReading, overdue: [Order], from: Int)
    case settling(LogReading, overdue: [Order], from: Int, [SettlementMachine])
    case following(LogReading)
    /// Conflicts that the database found while the position passed them.
    case settlingFound(LogPosition, [SettlementMachine], then: Wait)
    case waiting(Then)
  }

  private enum Wait { case none, interval }

  private enum Then {
    case restart
    case read(LogPosition)
    case record(LogReading, overdue: [Order], from: Int)
    case settleFound(LogPosition, [SettlementMachine], then: Wait)
  }

  private let bucket: BucketID
  private let settings: Settings
  private var state = State.idle
  private var backOff = BackOff(firstMs: 100, maxMs: 5000)
  private var quietMs: Int64

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
    guard !events.isEmpty else {
      quietMs = min(quietMs * 2, settings.idleIntervalMs)
      return wait(ms: quietMs, then: .read(position))
    }
    quietMs = settings.intervalMs
    do throws(StockError) {
      let reading = try LogReading(bucket: bucket, from: position, events: events)
      let overdue = reading.live(before: nowMs - settings.overdueMs)
      return record(reading, overdue: overdue, from: 0)
    } catch {
      return halt(error.message)
    }
  }

  mutating func recorded(_ outcomes: [RecordOutcome]) -> Action {
    guard case .recording(var reading, let overdue, let from) = state else { return start() }
    let next = min(from + settings.recordMax, overdue.count)
    guard outcomes.count == next - from else {
      return wait(ms: backOff.failed(), then: .record(reading, overdue: overdue, from: from))
    }
    backOff.succeeded()
    let settlements = zip(overdue[from..<next], outcomes)
      .map { SettlementMachine(order: $0, outcome: $1) }
      .filter { $0.start() != .done(.acknowledge) }
    for settlement in settlements where settlement.isUnwritable {
      if let sequence = settlement.order.sequence { reading.passOver(sequence) }
    }
    guard !settlements.isEmpty else { return record(reading, overdue: overdue, from: next) }
    state = .settling(reading, overdue: overdue, from: from, settlements)
    return .settle(settlements)
  }

  /// One disposition per settlement asked for. Those that failed are tried again before the position moves.
  mutating func settled(_ dispositions: [Disposition]) -> Action {
    switch state {
    case .settling(let reading, let overdue, let from, let settlements):
      guard isSettled(settlements, dispositions) else {
        return wait(ms: backOff.failed(), then: .record(reading, overdue: overdue, from: from))
      }
      return record(reading, overdue: overdue, from: min(from + settings.recordMax, overdue.count))
    case .settlingFound(let position, let settlements, let then):
      guard isSettled(settlements, dispositions) else {
        return wait(ms: backOff.failed(), then: .settleFound(position, settlements, then: then))
      }
      return proceed(position, then)
    case .idle, .reading, .recording, .following, .waiting: return start()
    }
  }

  mutating func followed(_ outcome: LogBatchOutcome) -> Action {
    guard case .following(let reading) = state else { return start() }
    backOff.succeeded()
    guard outcome.applied else { return adopt(outcome.position, insteadOf: reading.from) }
    let isFull = reading.steps.count >= settings.batchMax && outcome.waitingFor == nil
    let then = isFull ? Wait.none : .interval
    let found = outcome.findings.compactMap(Self.settlement)
    guard found.isEmpty else {
      state = .settlingFound(outcome.position, found, then: then)
      return .settle(found)
    }
    return proceed(outcome.position, then)
  }

  mutating func ordersFailed(_ error: OrderStoreError) -> Action {
    switch state {
    case .recording(let reading, let overdue, let from):
      wait(ms: backOff.failed(), then: .record(reading, overdue: overdue, from: from))
    case .following(let reading):
      // The commit may have happened: reading from the position before it finds out.
      wait(ms: backOff.failed(), then: .read(reading.from))
    case .idle, .reading, .settling, .settlingFound, .waiting:
      wait(ms: backOff.failed(), then: .restart)
    }
  }

  mutating func stockFailed(_ error: StockError) -> Action {
    switch error.code {
    case .epochMismatch, .logAhead, .logTrimmed, .protocolViolation, .wrongType: return halt(error.message)
    case .noBucket:
      // Before the first position the bucket is still to be set up; after it, the bucket is lost.
      guard case .reading = state else { return wait(ms: backOff.failed(), then: .restart) }
      return halt(error.message)
    default: return wait(ms: backOff.failed(), then: .restart)
    }
  }

  mutating func woke() -> Action {
    guard case .waiting(let then) = state else { return start() }
    switch then {
    case .restart: return start()
    case .read(let position): return read(position)
    case .record(let reading, let overdue, let from): return record(reading, overdue: overdue, from: from)
    case .settleFound(let position, let settlements, let then):
      state = .settlingFound(position, settlements, then: then)
      return .settle(settlements)
    }
  }

  private mutating func read(_ position: LogPosition) -> Action {
    state = .reading(position)
    return .read(after: position)
  }

  private mutating func record(_ reading: LogReading, overdue: [Order], from: Int) -> Action {
    guard from < overdue.count else {
      state = .following(reading)
      return .follow(reading.batch)
    }
    state = .recording(reading, overdue: overdue, from: from)
    return .record(Array(overdue[from..<min(from + settings.recordMax, overdue.count)]))
  }

  /// Another worker follows this bucket too, and has moved the position.
  private mutating func adopt(_ position: LogPosition, insteadOf mine: LogPosition) -> Action {
    guard position.epoch == mine.epoch else {
      return halt("the database follows \(bucket) in epoch \(position.epoch); the bucket is in epoch \(mine.epoch)")
    }
    return position == mine ? wait(ms: settings.intervalMs, then: .read(position)) : read(position)
  }

  private mutating func proceed(_ position: LogPosition, _ then: Wait) -> Action {
    switch then {
    case .none: read(position)
    case .interval: wait(ms: settings.intervalMs, then: .read(position))
    }
  }

  private mutating func wait(ms: Int64, then: Then) -> Action {
    state = .waiting(then)
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

  private static func settlement(_ finding: LogBatchOutcome.Finding) -> SettlementMachine? {
    switch finding {
    case .stored: nil
    case .rejected(let order): SettlementMachine(order: order, outcome: .rejected)
    case .conflict(let order, let row): SettlementMachine(order: order, outcome: .conflict(row))
    }
  }
}
