import Stock

@testable import Doorbuster

/// The simulated world's clock, for code that waits by the clock seam. Waiting lets the world go on.
struct WorldClock: SaleClock {
  nonisolated(unsafe) let world: World
  private static let start = ContinuousClock.now

  var wallMs: Int64 { world.nowMs }

  var now: ContinuousClock.Instant { Self.start.advanced(by: .milliseconds(world.nowMs)) }

  func sleep(until instant: ContinuousClock.Instant) async throws(CancellationError) {
    guard !Task.isCancelled else { throw CancellationError() }
    _ = world.run(forMs: max(0, now.duration(to: instant).wholeMs))
  }
}

extension World {
  /// As long as a request or a reply takes.
  func goOn() { _ = run(forMs: random.chance(slowness) ? pick(0...400) : pick(0...3)) }
}

extension ModelServers.State {
  /// Puts the world's servers in the place of these, or back.
  mutating func exchange(with world: World?) {
    guard let world else { return }
    swap(&stock, &world.stock)
    swap(&broker, &world.broker)
    swap(&orders, &world.orders)
  }
}
