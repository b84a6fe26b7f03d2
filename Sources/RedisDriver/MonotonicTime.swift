import Glibc

/// An instant of a clock that never goes back and does not stop while the machine sleeps.
///
/// Deadlines travel with every command, so this is one integer where `ContinuousClock.Instant` is two.
public struct MonotonicTime: Sendable, Hashable, Comparable {
  /// Nanoseconds since an arbitrary start, the same for all threads of a process.
  public var nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static var now: MonotonicTime {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  /// Later than any time that a clock shows.
  public static let distantFuture = MonotonicTime(nanoseconds: .max)

  /// Sums beyond the range stay at ``distantFuture``.
  public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
    time.advanced(by: duration.wholeNanoseconds)
  }

  public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }

  func advanced(by duration: Int64) -> MonotonicTime {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(duration)
    return overflow ? .distantFuture : MonotonicTime(nanoseconds: sum)
  }
}

extension Duration {
  /// Saturates at ±292 years.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    let (sum, sumOverflow) = nanoseconds.addingReportingOverflow(attoseconds / 1_000_000_000)
    return sumOverflow ? (seconds < 0 ? .min : .max) : sum
  }
}
