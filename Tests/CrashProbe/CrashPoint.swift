import Glibc
import Synchronization

/// A step between whose two sides a process may die.
enum Step: String {
  case sendHalf, deduct, commit, confirm, rollBack
  /// The broker's check of a half message.
  case check, fence
  /// A batch of messages in the worker's hands: before it is handled, and after, when it is not acknowledged yet.
  case deliver
  case record, cancel, log, follow, trim
  /// Units on their way between buckets; a deduction that deposits them first is a step of its own.
  case withdraw, deductDepositing, deposit, settle, rebalance
  /// What a recovery does: makes a bucket anew, writes in what it lacks, has its log followed anew, thaws it.
  case create, writeIn, adopt, thaw
}

enum Side: String { case before, after }

/// Where this process kills or stops itself: right before or right after the k-th call of a step.
struct CrashPoint {
  let step: Step
  let side: Side
  let call: Int

  /// Of the form `deduct/after/3`; nil for another.
  init?(_ text: String) {
    let words = text.split(separator: "/").map(String.init)
    guard words.count == 3, let step = Step(rawValue: words[0]), let side = Side(rawValue: words[1]),
      let call = Int(words[2]), call > 0
    else { return nil }
    self.step = step
    self.side = side
    self.call = call
  }
}

/// Counts how often the crash point was passed, over all tasks, and kills the process there, or stops it until somebody
/// sends `SIGCONT`.
final class Fuse: Sendable {
  private let point: CrashPoint?
  private let stopsOnly: Bool
  private let passed = Mutex(0)

  init(_ point: CrashPoint?, stopsOnly: Bool = false) {
    self.point = point
    self.stopsOnly = stopsOnly
  }

  func pass(_ step: Step, _ side: Side) {
    guard let point, point.step == step, point.side == side else { return }
    let calls = passed.withLock { passed in
      passed += 1
      return passed
    }
    guard calls == point.call else { return }
    if stopsOnly {
      kill(getpid(), SIGSTOP)
      return
    }
    kill(getpid(), SIGKILL)
    // The signal may take a moment to reach this thread, which must not go on meanwhile.
    while true { pause() }
  }
}
