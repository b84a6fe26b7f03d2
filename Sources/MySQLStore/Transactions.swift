import CMariaDB
import Glibc
import Orders

extension Connection {
  /// How a transaction ends.
  enum Ending {
    case commit
    /// Nothing is to be kept; what was written is taken back.
    case rollBack
    /// The last statement has committed it already.
    case committed
  }

  /// Waits between attempts after a deadlock, and how often a lost connection is made anew.
  private static let pausesMs: ClosedRange<Double> = 1...50
  private static let losesMax = 2
  /// A key that is there each time is not somebody else's being quicker, but a constraint that the order does not keep.
  private static let duplicatesMax = 20

  /// Runs `body` in one transaction, again where somebody else was in the way or the connection was lost before the
  /// commit was sent.
  ///
  /// - Throws: ``OrderStoreError``: `outcomeUnknown` where the connection died after the commit was sent (or while
  ///   `body` ran and had called ``Attempt/sendsCommit()``); else nothing was written.
  func transaction<Value>(
    _ what: @autoclosure () -> String,
    _ body: (Attempt) throws -> (Value, Ending)
  ) throws(OrderStoreError) -> Value {
    var retries = Retries(boundMs: 2 * options.lockWaitMs)
    while true {
      let attempt = Attempt(number: retries.count)
      do {
        try connect()
        try run("BEGIN")
        let (value, ending) = try body(attempt)
        switch ending {
        case .rollBack: try run("ROLLBACK")
        case .committed: break
        case .commit:
          attempt.sendsCommit()
          try run("COMMIT")
        }
        return value
      } catch let failure as MySQLFailure {
        try recover(from: failure, attempt, &retries, what())
      } catch {
        rollBack()
        throw OrderStoreError(error, while: what(), server: url)
      }
    }
  }

  /// Runs `body` outside of a transaction, again where the connection was lost.
  func read<Value>(_ what: @autoclosure () -> String, _ body: () throws -> Value) throws(OrderStoreError) -> Value {
    var retries = Retries(boundMs: 2 * options.lockWaitMs)
    while true {
      do {
        try connect()
        return try body()
      } catch let failure as MySQLFailure {
        try recover(from: failure, Attempt(number: retries.count), &retries, what())
      } catch {
        throw OrderStoreError(error, while: what(), server: url)
      }
    }
  }

  /// One attempt of a transaction.
  final class Attempt {
    /// How many went before.
    let number: Int
    fileprivate private(set) var hasSentCommit = false

    init(number: Int) { self.number = number }

    /// From here on a lost connection leaves the outcome unknown.
    func sendsCommit() { hasSentCommit = true }

    /// The server has answered, and has not committed.
    func commitsNot() { hasSentCommit = false }
  }

  /// Leaves the connection ready for another attempt, or throws.
  private func recover(
    from failure: MySQLFailure,
    _ attempt: Attempt,
    _ retries: inout Retries,
    _ what: String
  ) throws(OrderStoreError) {
    switch failure.kind {
    case .lost:
      disconnect()
      if attempt.hasSentCommit {
        let error = OrderStoreError(failure, while: what, server: url)
        throw OrderStoreError(.outcomeUnknown, "the connection died after the commit was sent; \(error.message)")
      }
      retries.loses += 1
      guard retries.loses < Self.losesMax else { throw OrderStoreError(failure, while: what, server: url) }
    case .contended, .duplicate:
      rollBack()
      if case .duplicate = failure.kind, retries.count >= Self.duplicatesMax {
        throw OrderStoreError(failure, while: what, server: url)
      }
      guard retries.mayGoOn else { throw Self.busy(failure, what, url) }
      retries.pause(Self.pausesMs, hasWaited: failure.hasWaited)
    case .other:
      let isUnknown = attempt.hasSentCommit
      rollBack()
      let error = OrderStoreError(failure, while: what, server: url)
      throw isUnknown ? OrderStoreError(.outcomeUnknown, "the commit failed; \(error.message)") : error
    }
    retries.count += 1
  }

  private static func busy(_ failure: MySQLFailure, _ what: String, _ url: MySQLURL) -> OrderStoreError {
    let error = OrderStoreError(failure, while: what, server: url)
    let reason = failure.hasWaited ? "another connection holds a lock for too long" : "others were in the way each time"
    return OrderStoreError(.unavailable, "\(reason); \(error.message)")
  }

  /// A connection that can't even do this is made anew.
  private func rollBack() {
    do throws(MySQLFailure) {
      try run("ROLLBACK")
    } catch {
      disconnect()
    }
  }

  private struct Retries {
    let deadline: ContinuousClock.Instant
    var count = 0
    var loses = 0
    private var pauses = 0

    init(boundMs: Int) { deadline = .now + .milliseconds(boundMs) }

    var mayGoOn: Bool { ContinuousClock.now < deadline }

    mutating func pause(_ bounds: ClosedRange<Double>, hasWaited: Bool) {
      if hasWaited { return }
      let longest = min(bounds.lowerBound * Double(1 << min(pauses, 10)), bounds.upperBound)
      pauses += 1
      usleep(UInt32(Double.random(in: longest / 2...longest) * 1_000))
    }
  }
}
