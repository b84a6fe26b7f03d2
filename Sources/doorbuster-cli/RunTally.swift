import Doorbuster
import Synchronization

/// How the requests of a run ended; counted while it goes on. `requests` is the sum of the others.
struct RunTally: Hashable, Sendable {
  var accepted = 0
  var soldOut = 0
  var duplicate = 0
  var limited = 0
  /// Early, closed, frozen, cancelled and unknown too, and bad lines of a file.
  var failed = 0

  var requests: Int { accepted + soldOut + duplicate + limited + failed }

  mutating func count(_ outcome: PurchaseOutcome) {
    switch outcome {
    case .accepted(_, _, isRepeat: false): accepted += 1
    case .accepted(_, _, isRepeat: true): duplicate += 1
    case .refused(.soldOut, _): soldOut += 1
    case .refused(.limit, _): limited += 1
    case .refused(.early, _), .refused(.closed, _), .refused(.frozen, _): failed += 1
    case .cancelled, .unknown, .failed: failed += 1
    }
  }
}

/// One tally for many tasks.
final class SharedTally: Sendable {
  private let tally = Mutex(RunTally())

  var value: RunTally { tally.withLock { $0 } }

  /// Returns how it stands now.
  func count(_ outcome: PurchaseOutcome) -> RunTally {
    tally.withLock { tally in
      tally.count(outcome)
      return tally
    }
  }
}

extension PurchaseOutcome {
  /// Why it counts as failed, for standard error; nil for what a sale produces by the million.
  var fault: String? {
    switch self {
    case .accepted, .refused(.soldOut, _), .refused(.limit, _): nil
    case .refused(.early, _): "the sale is not open yet"
    case .refused(.closed, _): "the sale is closed"
    case .refused(.frozen, _): "the bucket is frozen"
    case .cancelled: "the token was cancelled; a new purchase needs a new token"
    case .unknown(let reason): "unknown: \(reason)"
    case .failed(let error): error.description
    }
  }
}
