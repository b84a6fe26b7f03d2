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
    case .accepted(_, _, isRepeat: false), .held(_, _, _, isRepeat: false): accepted += 1
    case .accepted(_, _, isRepeat: true), .held(_, _, _, isRepeat: true): duplicate += 1
    case .refused(.soldOut, _): soldOut += 1
    case .refused(.limit, _): limited += 1
    case .refused(.early, _), .refused(.closed, _), .refused(.frozen, _): failed += 1
    case .cancelled, .unknown, .failed: failed += 1
    }
  }
}

/// One tally for many tasks.
final class SharedTally: Sendable {
  private struct State {
    var tally = RunTally()
    var lastAnswer = ContinuousClock.now
  }

  private let state = Mutex(State())

  var value: RunTally { state.withLock { $0.tally } }

  /// Returns how it stands now, and how long no server has answered a purchase.
  func count(_ outcome: PurchaseOutcome) -> (tally: RunTally, silence: Duration) {
    let now = ContinuousClock.now
    return state.withLock { state in
      state.tally.count(outcome)
      if outcome.isAnswer { state.lastAnswer = max(now, state.lastAnswer) }
      return (state.tally, state.lastAnswer.duration(to: now))
    }
  }
}

extension PurchaseOutcome {
  /// Whether the servers have decided it, though it be by an error of the one purchase.
  fileprivate var isAnswer: Bool {
    switch self {
    case .accepted, .held, .refused, .cancelled: true
    case .unknown: false
    case .failed(let error): !error.isTransient
    }
  }

  /// Whether this request has taken units, and no earlier one of its token.
  var isTaking: Bool {
    switch self {
    case .accepted(_, _, let isRepeat), .held(_, _, _, let isRepeat): !isRepeat
    case .refused, .cancelled, .unknown, .failed: false
    }
  }

  /// Why it counts as failed, for standard error; nil for what a sale produces by the million.
  var fault: String? {
    switch self {
    case .accepted, .held, .refused(.soldOut, _), .refused(.limit, _): nil
    case .refused(.early, _): "the sale is not open yet"
    case .refused(.closed, _): "the sale is closed"
    case .refused(.frozen, _): "the bucket is frozen"
    case .cancelled: "the token was cancelled; a new purchase needs a new token"
    case .unknown(let reason): "unknown: \(reason)"
    case .failed(let error): error.description
    }
  }
}
