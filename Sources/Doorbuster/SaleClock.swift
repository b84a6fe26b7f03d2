#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The clock seam: all that the orchestrator knows of time.
public protocol SaleClock: Sendable {
  /// Wall time, ms since 1970. It may jump; it stamps messages and closes sales, and nothing waits by it.
  var wallMs: Int64 { get }

  /// Monotonic time, for deadlines and waits.
  var now: ContinuousClock.Instant { get }

  /// Returns at that instant or after it.
  /// - Throws: `CancellationError`, at once, where the task is cancelled.
  func sleep(until instant: ContinuousClock.Instant) async throws(CancellationError)
}

/// The machine's own clock.
public struct SystemSaleClock: SaleClock {
  public init() {}

  public var wallMs: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  public var now: ContinuousClock.Instant { ContinuousClock.now }

  public func sleep(until instant: ContinuousClock.Instant) async throws(CancellationError) {
    do {
      try await Task.sleep(until: instant, clock: .continuous)
    } catch {
      throw CancellationError()
    }
  }
}

extension SaleClock {
  /// Waits that long; false where the task was cancelled meanwhile.
  func wait(ms: Int64) async -> Bool {
    do {
      try await sleep(until: now.advanced(by: .milliseconds(ms)))
      return true
    } catch {
      return false
    }
  }
}
