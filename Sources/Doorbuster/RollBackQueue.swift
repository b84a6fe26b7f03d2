import Messaging
import Synchronization

/// Half messages of refused purchases, on their way to be rolled back behind the answers' backs.
///
/// It is bounded, and open only while lanes drain it: otherwise ``offer(_:)`` is refused and the caller rolls back.
final class RollBackQueue: Sendable {
  private struct State {
    var isOpen = false
    var pending: [HalfMessage] = []
    var first = 0
    var idle: [CheckedContinuation<HalfMessage?, Never>] = []
  }

  private let state = Mutex(State())
  private let pendingMax: Int

  init(pendingMax: Int) { self.pendingMax = pendingMax }

  func open() { state.withLock { $0.isOpen = true } }

  /// Lets the lanes finish what is pending and end.
  func close() {
    let idle = state.withLock { state in
      state.isOpen = false
      defer { state.idle = [] }
      return state.idle
    }
    for lane in idle { lane.resume(returning: nil) }
  }

  /// False where it is closed or full.
  func offer(_ half: HalfMessage) -> Bool {
    let (isTaken, lane) = state.withLock { state -> (Bool, CheckedContinuation<HalfMessage?, Never>?) in
      guard state.isOpen else { return (false, nil) }
      if let lane = state.idle.popLast() { return (true, lane) }
      guard state.pending.count - state.first < pendingMax else { return (false, nil) }
      if state.first > pendingMax {
        state.pending.removeFirst(state.first)
        state.first = 0
      }
      state.pending.append(half)
      return (true, nil)
    }
    lane?.resume(returning: half)
    return isTaken
  }

  /// The next one; nil once it is closed and empty.
  func next() async -> HalfMessage? {
    await withCheckedContinuation { continuation in
      let (isReady, half) = state.withLock { state -> (Bool, HalfMessage?) in
        if state.first < state.pending.count {
          let half = state.pending[state.first]
          state.first += 1
          if state.first == state.pending.count {
            state.pending.removeAll(keepingCapacity: true)
            state.first = 0
          }
          return (true, half)
        }
        guard state.isOpen else { return (true, nil) }
        state.idle.append(continuation)
        return (false, nil)
      }
      if isReady { continuation.resume(returning: half) }
    }
  }
}
