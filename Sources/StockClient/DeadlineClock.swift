import RedisDriver

/// Turns the seam's instants into the driver's times and back without reading a clock: both count the same seconds, from
/// starts that differ by a constant.
struct DeadlineClock: Sendable {
  private let instant = ContinuousClock.now
  private let time = MonotonicTime.now

  func time(of deadline: ContinuousClock.Instant) -> MonotonicTime { time + instant.duration(to: deadline) }

  /// For times that are not far from now.
  func instant(of time: MonotonicTime) -> ContinuousClock.Instant {
    let (nanoseconds, overflow) = time.nanoseconds.subtractingReportingOverflow(self.time.nanoseconds)
    return overflow ? instant : instant + .nanoseconds(nanoseconds)
  }
}
