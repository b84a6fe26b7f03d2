import RedisDriver

/// Turns the seam's instants into the driver's times without reading a clock: both count the same seconds, from starts
/// that differ by a constant.
struct DeadlineClock: Sendable {
  private let instant = ContinuousClock.now
  private let time = MonotonicTime.now

  func time(of deadline: ContinuousClock.Instant) -> MonotonicTime { time + instant.duration(to: deadline) }
}
