import Synchronization

@testable import Doorbuster

/// Time as a task of this process lives through it: it goes on by a millisecond whenever a task that waited for one got to run.
///
/// So the services' bounds hold on a busy machine too, where all other tests want the same two threads: what takes a service
/// longer makes the clock slower. It is never ahead of the machine's clock.
struct RunningClock: SaleClock {
  private static let start = ContinuousClock.now
  private static let passedMs = Mutex<Int64>(0)
  private static let ticking: Task<Void, any Error> = Task.detached {
    while true {
      try await Task.sleep(for: .milliseconds(1))
      passedMs.withLock { $0 += 1 }
    }
  }

  var wallMs: Int64 { SystemSaleClock().wallMs }

  var now: ContinuousClock.Instant {
    _ = Self.ticking
    return Self.start.advanced(by: .milliseconds(Self.passedMs.withLock { $0 }))
  }

  func sleep(until instant: ContinuousClock.Instant) async throws(CancellationError) {
    while true {
      let left = instant - now
      guard left > .zero else { return }
      do { try await Task.sleep(for: left) } catch { throw CancellationError() }
    }
  }
}
