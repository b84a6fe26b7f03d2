import Messaging
import Synchronization

/// What a worker has done since it was made.
public struct WorkerCounters: Hashable, Sendable {
  /// Deliveries handled, and how they ended.
  public var deliveries: Int64 = 0
  public var acknowledged: Int64 = 0
  public var retried: Int64 = 0
  public var deadLettered: Int64 = 0
  /// Deductions that the database had no stock for: cancelled, off sale.
  public var rejected: Int64 = 0
  /// Purchases whose token another order has.
  public var conflicts: Int64 = 0
  /// Log events brought into the database.
  public var logEvents: Int64 = 0
  /// Orders stored from the log: all of those that it delivers, and those whose message was overdue.
  public var fromLog: Int64 = 0
  /// Buckets whose log can't be followed.
  public var haltedBuckets: Int64 = 0
  /// Holds that were over, on the path `database`.
  public var expired: Int64 = 0
  /// Buckets that came up frozen, and were completed and thawed.
  public var completedBuckets: Int64 = 0
  /// Holds that were written in, and cancelled as they were over.
  public var endedHolds: Int64 = 0
  /// Messages that were trimmed.
  public var trimmed: Int64 = 0

  public init() {}
}

/// The counters behind a lock; taken once a batch.
final class WorkerTally: Sendable {
  private let counters = Mutex(WorkerCounters())

  var value: WorkerCounters { counters.withLock { $0 } }

  func add(_ change: (inout WorkerCounters) -> Void) { counters.withLock { change(&$0) } }

  func add(_ dispositions: [Disposition]) {
    var acknowledged: Int64 = 0
    var retried: Int64 = 0
    var deadLettered: Int64 = 0
    for disposition in dispositions {
      switch disposition {
      case .acknowledge: acknowledged += 1
      case .retry: retried += 1
      case .deadLetter: deadLettered += 1
      }
    }
    add { counters in
      counters.deliveries += Int64(dispositions.count)
      counters.acknowledged += acknowledged
      counters.retried += retried
      counters.deadLettered += deadLettered
    }
  }

  func add(_ settlements: [SettlementMachine]) {
    var rejected: Int64 = 0
    var conflicts: Int64 = 0
    for settlement in settlements {
      switch settlement.outcome {
      case .rejected, .alreadyRecorded: rejected += 1
      case .conflict: conflicts += 1
      case .recorded, .short, .unknownProduct, .refused: break
      }
    }
    add { counters in
      counters.rejected += rejected
      counters.conflicts += conflicts
    }
  }
}
