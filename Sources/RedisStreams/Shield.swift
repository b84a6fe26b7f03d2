import Glibc
import Synchronization

/// Runs something to its end although the calling task is cancelled, and waits for it.
///
/// The one place where a task is started outside its parent: a child would inherit the cancellation, and a database
/// call under way in it would be broken off. It does not outlive the call.
func shielded<Value: Sendable>(_ body: @Sendable @escaping () async -> Value) async -> Value {
  await Task(operation: body).value
}

/// Tells what runs in a shield that its caller was cancelled.
final class CancellationFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .acquiring) }
  func set() { flag.store(true, ordering: .releasing) }
}

/// Lets one log line through every five seconds, with the number of those held back before it.
final class LogGate: Sendable {
  private struct State {
    var last: ContinuousClock.Instant?
    var suppressed = 0
  }

  private let state = Mutex(State())

  func pass(_ log: (_ suppressed: Int) -> Void) {
    let suppressed: Int? = state.withLock { state in
      let now = ContinuousClock.now
      if let last = state.last, last.duration(to: now) < .seconds(5) {
        state.suppressed += 1
        return nil
      }
      defer { state = State(last: now) }
      return state.suppressed
    }
    if let suppressed { log(suppressed) }
  }
}

/// A name that no other loop of any process has, with the process's id for operators.
func uniqueName() -> String {
  "\(getpid())-\(String(UInt64.random(in: .min ... .max), radix: 36))"
}

extension Array {
  /// Pieces of at most 1000: Lua unpacks no more than some 8000 values, and no script should run for long.
  var pieces: [ArraySlice<Element>] {
    stride(from: 0, to: count, by: 1000).map { self[$0..<Swift.min($0 + 1000, count)] }
  }
}
